"""Authentication of requests by a key in either header, or by an Entra token for the right audience."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from azdistill.simulate.wire import HttpReply, error_body, gateway, reply

# The message of a real endpoint, which does not distinguish the causes.
ENTRA = "Unauthorized. Access token is missing, invalid, audience is incorrect ({audience}), or have expired."


class AuthCheck:
    """Accepts every request if neither a key nor an Entra scope is set; otherwise either of the two is enough."""

    def __init__(self, key: str | None, scope: str | None, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock
        self._audience = scope and scope.removesuffix("/.default")

    def reject(self, headers: Mapping[str, str]) -> HttpReply | None:
        """The 401 for a request with these headers (names in lower case), or None if it is accepted."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._key is None and self._audience is None:
            return None
        if self._key is not None and self._key in (bearer, headers.get("api-key")):
            return None
        if self._audience is None:
            return reply(401, gateway(401, "Access denied due to invalid key (simulated)."))
        if self._is_valid(token_claims(bearer)):
            return None
        return reply(401, error_body("401", ENTRA.format(audience=self._audience)))

    def _is_valid(self, claims: Mapping[str, Any]) -> bool:
        expires = claims.get("exp")
        audience = str(claims.get("aud", "")).rstrip("/")
        return audience == self._audience and isinstance(expires, int | float) and expires > self._clock()


def token_claims(token: str) -> Mapping[str, Any]:
    """Claims of a JWT, empty for any other text. The signature is not checked: there is no tenant to check it with."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
