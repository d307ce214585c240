"""How a teacher lets us in. Each way gives the headers of a request, and takes its secret out of a text.

A secret is held by these alone. They show it in no repr, and don't go to another process.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping

from azdistill.azure_rest.identity import Credential, HoldsSecret, new_token
from azdistill.contracts.errors import InputError

RENEWED_BEFORE_S = 300.0
TRIED_AGAIN_S = 30.0


class Access(HoldsSecret):
    """An open endpoint, and the base of the ways to be let in."""

    about = ""

    def headers(self) -> dict[str, str]:
        """Of the next request. Raises InputError when there is nothing to be let in by."""
        return {}

    def is_due(self) -> bool:
        """Whether `headers` has to ask somebody first, and takes its time."""
        return False

    def secrets(self) -> list[str]:
        return []

    def redact(self, text: str) -> str:
        """`text` from the endpoint without the secret, which some endpoints repeat in their refusals."""
        for secret in filter(None, self.secrets()):
            text = text.replace(secret, "[key]")
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{self.about}>"


class VariableKey(Access):
    """A key that the environment holds under a name; it is read when it is sent."""

    def __init__(self, owner: str, variable: str, environ: Mapping[str, str] = os.environ) -> None:
        self._owner, self._variable, self._environ = owner, variable, environ
        self.about = f" with the key in {variable}"

    def headers(self) -> dict[str, str]:
        return key_headers(self._key(), f"{self._owner}: the value of key_variable {self._variable!r}")

    def secrets(self) -> list[str]:
        return [self._environ.get(self._variable, "").strip()]

    def _key(self) -> str:
        key = self._environ.get(self._variable, "").strip()
        if not key:
            raise InputError(
                f"{self._owner}: key_variable {self._variable!r} is not set in the environment; "
                "set it to the key of the endpoint"
            )
        return key


class HeldKey(Access):
    """A key that was read from a workspace connection."""

    def __init__(self, key: str, connection: str) -> None:
        self._key = key.strip()
        self.about = f" with the key of connection {connection!r}"

    def headers(self) -> dict[str, str]:
        return key_headers(self._key, f"teacher: the key{self.about.removeprefix(' with the key')}")

    def secrets(self) -> list[str]:
        return [self._key]


def key_headers(key: str, what: str) -> dict[str, str]:
    """Both headers that Azure's endpoints know."""
    if not (key.isascii() and key.isprintable()):
        raise InputError(f"{what} holds characters that no key has; set it again")
    return {"Authorization": f"Bearer {key}", "api-key": key}


class EntraToken(Access):
    """A token of Entra ID, renewed five minutes before it expires, or halfway where it lives less than ten."""

    def __init__(
        self, owner: str, scope: str, credential: Callable[[], Credential], clock: Callable[[], float] = time.time
    ) -> None:
        self.scope, self._owner, self._credential, self._clock = scope, owner, credential, clock
        self._source: Credential | None = None
        self._token, self._expires_on, self._due = "", 0.0, 0.0
        self._lock = threading.Lock()
        self.about = f" with an Entra token for {scope}"

    def headers(self) -> dict[str, str]:
        with self._lock:  # of many requests that find it due, one renews it
            if self.is_due():
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def is_due(self) -> bool:
        return self._clock() >= self._due

    def secrets(self) -> list[str]:
        return [self._token]

    def _renew(self) -> None:
        """Raises InputError when there is no new token; while the old one is good that can wait."""
        now = self._clock()
        try:
            found = new_token(self._owner, self.scope, self._who)
        except InputError:
            if now >= self._expires_on:
                raise
            self._due = now + TRIED_AGAIN_S
            return
        self._token, self._expires_on = found.token, float(found.expires_on)
        life = self._expires_on - now
        self._due = now + max(life - RENEWED_BEFORE_S, life / 2)

    def _who(self) -> Credential:
        """One credential for all tokens, as it may keep them, too."""
        self._source = self._source or self._credential()
        return self._source
