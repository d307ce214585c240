"""Authentication of requests to a teacher: a key from the environment or a connection, or an Entra ID token.

Secrets live only in these objects. They are in no repr, cannot be pickled, and are removed from quoted text.
"""

import math
import os
import threading
import time
from collections.abc import Callable, Mapping

from azdistill.azure_rest.identity import Credential, HoldsSecret, get_token
from azdistill.contracts.errors import InputError
from azdistill.engine.redaction import quote

# Seconds before a token expires at which it is renewed, and seconds between two tries to renew it.
RENEW_BEFORE_S = 300.0
RETRY_RENEWAL_S = 30.0


class Auth(HoldsSecret):
    """No authentication. Base class of the others."""

    description = ""

    def headers(self) -> dict[str, str]:
        """Headers of the next request. Raises InputError when there is no key or token."""
        return {}

    def needs_refresh(self) -> bool:
        """True if `headers` will fetch a token and block."""
        return False

    def expire(self, headers: Mapping[str, str]) -> bool:
        """Renew the token of `headers`, which an endpoint refused, before the next request. False if no newer one is
        to be expected."""
        return False

    def secrets(self) -> list[str]:
        return []

    def redact(self, text: str) -> str:
        """Shorten text from outside to one line without secrets. Some endpoints repeat the key in their errors."""
        return quote(text, self.secrets())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{self.description}>"


class EnvironmentKey(Auth):
    """Key in an environment variable, read for each request."""

    def __init__(self, subject: str, variable: str, environ: Mapping[str, str] = os.environ) -> None:
        self._subject, self._variable, self._environ = subject, variable, environ
        self.description = f" with the key in {variable}"

    def headers(self) -> dict[str, str]:
        if not (key := self._key()):
            raise InputError(
                f"variable {self._variable} is not set in the environment",
                code="missing_variable",
                subject=self._subject,
                field=("key_variable",),
                fix="set it to the key of the endpoint",
            )
        return _key_headers(key, f"{self._subject}: the key in ${self._variable}")

    def secrets(self) -> list[str]:
        return [self._key()]

    def _key(self) -> str:
        return self._environ.get(self._variable, "").strip()


class ConnectionKey(Auth):
    """Key of a workspace connection."""

    def __init__(self, key: str, connection: str) -> None:
        self._key, self._connection = key.strip(), connection
        self.description = f" with the key of connection {connection!r}"

    def headers(self) -> dict[str, str]:
        return _key_headers(self._key, f"the key of connection {self._connection!r}")

    def secrets(self) -> list[str]:
        return [self._key]


def _key_headers(key: str, subject: str) -> dict[str, str]:
    """Both headers that endpoints of Azure accept."""
    if not (key.isascii() and key.isprintable()):
        raise InputError(
            "has characters that an HTTP header cannot hold", code="invalid_key", subject=subject, fix="copy it again"
        )
    return {"Authorization": f"Bearer {key}", "api-key": key}


class EntraToken(Auth):
    """Entra ID token, renewed 5 minutes before it expires, or after half its lifetime if that is less than 10 minutes.

    `azure.identity.get_bearer_token_provider` does not fit: the event loop must know whether a call will block, and a
    token that is still valid must be used during a short failure of the identity endpoint.

    The wall clock is read only when a token is fetched, for the time that is left to it; `clock` counts that time. If
    the wall clock is wrong then, or the machine sleeps later, the token expires earlier, and `expire` renews it.
    """

    def __init__(
        self,
        subject: str,
        scope: str,
        credential: Callable[[], Credential],
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.scope, self._subject, self._new_credential = scope, subject, credential
        self._clock, self._wall_clock = clock, wall_clock
        self._credential: Credential | None = None
        self._token, self._fetched_at, self._expires_at, self._renew_at = "", -math.inf, -math.inf, -math.inf
        self._last_token = ""  # a request in flight may still have it
        self._lock = threading.Lock()
        self.description = f" with an Entra token for {scope}"

    def headers(self) -> dict[str, str]:
        # Of many requests that need a new token, one fetches it.
        with self._lock:
            if self.needs_refresh():
                self._renew()
            return {"Authorization": f"Bearer {self._token}"}

    def needs_refresh(self) -> bool:
        return self._clock() >= self._renew_at

    def expire(self, headers: Mapping[str, str]) -> bool:
        """Also drops the credential, whose cache would return the same token again. Takes no lock, which may be held
        while a token is fetched."""
        if headers.get("Authorization") != f"Bearer {self._token}":
            return True  # there is a newer one already
        if self._clock() < self._fetched_at + RETRY_RENEWAL_S:
            return False
        self._renew_at, self._credential = -math.inf, None
        return True

    def secrets(self) -> list[str]:
        return [self._token, self._last_token]

    def _renew(self) -> None:
        """Fetch a token. Raises InputError when that fails and the last token has expired."""
        now = self._clock()
        try:
            token = get_token(self._subject, self.scope, self._reuse_credential)
        except InputError:
            if now >= self._expires_at:
                raise
            self._renew_at = now + RETRY_RENEWAL_S
            return
        life = token.expires_on - self._wall_clock()
        self._last_token, self._token = self._token, token.token
        self._fetched_at, self._expires_at = now, now + life
        # A token that is new and seems to have expired: the wall clock is wrong.
        self._renew_at = now + (max(life - RENEW_BEFORE_S, life / 2) if life > 0 else RETRY_RENEWAL_S)

    def _reuse_credential(self) -> Credential:
        """One credential for all tokens, because credentials have caches."""
        self._credential = credential = self._credential or self._new_credential()
        return credential
