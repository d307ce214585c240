"""A credential whose tokens can be decoded: each carries the audience it was asked for, and none opens anything."""

import time
from typing import Any

import jwt
from azure.core.credentials import AccessToken

TENANT = "11111111-1111-1111-1111-111111111111"
SIGNING_KEY = "the stand-in's own key, which signs tokens that only the stand-in reads"


class StandInCredential:
    """What MLClient and the blob clients take as a credential.

    `scopes` lists what they asked for, in order. `audiences` gives a scope's token to
    somebody else than it asks for, as a wrongly set up login does. `given` are the tokens.
    """

    def __init__(self) -> None:
        self.scopes: list[str] = []
        self.audiences: dict[str, str] = {}
        self.given: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.extend(scopes)
        resource = scopes[0].removesuffix(".default").removesuffix("/")
        now = int(time.time())
        claims = {
            "aud": self.audiences.get(scopes[0], resource),
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
        }
        self.given.append(jwt.encode(claims, SIGNING_KEY, "HS256"))
        return AccessToken(self.given[-1], now + 3600)


def audience(authorization: str) -> str | None:
    """Whom the token of an Authorization header is for, or None where it is no token of ours."""
    token = authorization.removeprefix("Bearer ")
    try:
        claims = jwt.decode(token, SIGNING_KEY, ["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError:
        return None
    return str(claims["aud"])
