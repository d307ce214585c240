"""Who is let in: the key in either header, or an Entra token for the right audience that has not expired."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from azdistill.simulate.wire import Reply, gateway, refusal, reply

# The endpoint's own words, which don't tell one cause from another.
ENTRA = "Unauthorized. Access token is missing, invalid, audience is incorrect ({audience}), or have expired."


class Door:
    """Open to all unless a key or an Entra scope is asked for; then either opens it."""

    def __init__(self, key: str | None, scope: str | None, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = key, clock
        self._audience = scope and scope.removesuffix("/.default")

    def refusal(self, headers: Mapping[str, str]) -> Reply | None:
        """The 401 that these headers get; None where they open. They are looked up by names in lower case."""
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if self._key is None and self._audience is None:
            return None
        if self._key is not None and self._key in (bearer, headers.get("api-key")):
            return None
        if self._audience is None:
            return reply(401, gateway(401, "Access denied due to invalid key (simulated)."))
        if self._is_valid(claims(bearer)):
            return None
        return reply(401, refusal("401", ENTRA.format(audience=self._audience)))

    def _is_valid(self, found: Mapping[str, Any]) -> bool:
        expires = found.get("exp")
        audience = str(found.get("aud", "")).rstrip("/")
        return audience == self._audience and isinstance(expires, int | float) and expires > self._clock()


def claims(token: str) -> Mapping[str, Any]:
    """What a token says of itself; nothing where it is no token. The signature is not checked: a stand-in has
    no tenant to check it with."""
    try:
        part = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
