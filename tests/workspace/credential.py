"""Credential with decodable tokens. Each token names the audience that it was requested for."""

import time
from typing import Any

import jwt
from azure.core.credentials import AccessToken

TENANT = "11111111-1111-1111-1111-111111111111"
# Object id of the user.
USER = "22222222-2222-2222-2222-222222222222"
SIGNING_KEY = "the simulated workspace's own key: only it reads these tokens"


class SimulatedCredential:
    """A credential for MLClient and the blob clients, of the principal with this object id.

    `scopes` lists the requested scopes in order, `tokens` the issued tokens. `audiences` maps a scope to a wrong
    audience for its tokens, as of a misconfigured login.
    """

    def __init__(self, object_id: str = USER) -> None:
        self.object_id = object_id
        self.scopes: list[str] = []
        self.audiences: dict[str, str] = {}
        self.tokens: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.extend(scopes)
        resource = scopes[0].removesuffix(".default").removesuffix("/")
        now = int(time.time())
        claims = {
            "aud": self.audiences.get(scopes[0], resource),
            "oid": self.object_id,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now,
            "nbf": now - 60,
            "exp": now + 3600,
        }
        self.tokens.append(jwt.encode(claims, SIGNING_KEY, "HS256"))
        return AccessToken(self.tokens[-1], now + 3600)


def run_token(seconds: int) -> str:
    """The token of a run, which expires after `seconds`."""
    return jwt.encode({"aud": "azureml", "exp": int(time.time()) + seconds}, SIGNING_KEY, "HS256")


def audience(authorization: str) -> str | None:
    """Audience of the token in an Authorization header, None for a token of someone else."""
    return _claims(authorization).get("aud")


def object_id(authorization: str) -> str | None:
    """Object id of the principal of the token in an Authorization header, None for a token of someone else."""
    return _claims(authorization).get("oid")


def _claims(authorization: str) -> dict[str, Any]:
    token = authorization.removeprefix("Bearer ")
    try:
        claims: dict[str, Any] = jwt.decode(token, SIGNING_KEY, ["HS256"], options={"verify_aud": False})
    except jwt.InvalidTokenError:
        return {}
    return claims
