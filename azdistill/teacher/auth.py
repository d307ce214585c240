"""How a teacher lets us in. Each way gives the headers of a request, and takes its secret out of a text.

A secret is held by these alone. They show it in no repr, and don't go to another process.
"""

import json
import logging
import os
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol
from urllib.parse import urlencode

from azdistill.contracts.errors import InputError

RENEWED_BEFORE_S = 300.0
TRIED_AGAIN_S = 30.0
REQUEST_TIMEOUT_S = 30.0
LONGEST_DETAIL = 300


class Token(Protocol):
    """What a credential gives; `expires_on` is in seconds since the epoch."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> int: ...


class Credential(Protocol):
    """Any credential of azure-identity is one."""

    def get_token(self, scope: str, /) -> Token: ...


class Access:
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

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} may hold a secret and isn't pickled; resolve the teacher in the other process")


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
            self._source = self._source or self._credential()
            found = self._source.get_token(self.scope)
        except InputError:
            raise
        except Exception as problem:  # a credential raises what it likes
            if now >= self._expires_on:
                raise InputError(
                    f"{self._owner}: no Entra token for {self.scope!r}; sign in with `az login`, or inside Azure "
                    "ML give the pipeline `identity: {type: managed_identity}` and its compute one "
                    f"({_short(problem)})"
                ) from None
            self._due = now + TRIED_AGAIN_S
            return
        self._token, self._expires_on = found.token, float(found.expires_on)
        life = self._expires_on - now
        self._due = now + max(life - RENEWED_BEFORE_S, life / 2)


def _short(problem: Exception) -> str:
    line = " ".join(str(problem).split())
    cut = line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 3] + "..."
    return f"{type(problem).__name__}: {cut}"


def ambient_credential(environ: Mapping[str, str] = os.environ) -> Credential:
    """Who this process is: inside an Azure ML job the user on whose behalf it runs or its managed identity, else
    whom azure-identity finds (`az login`, a service principal). Raises InputError without azure-identity."""
    client = environ.get("DEFAULT_IDENTITY_CLIENT_ID")
    if environ.get("OBO_ENDPOINT") and not client:
        return OnBehalfOf(environ["OBO_ENDPOINT"])
    try:
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError:
        raise InputError(
            "teacher: entra_scope and connection need azure-identity, which is not installed; "
            "pip install 'azdistill[azure]'"
        ) from None
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it would say in ten lines what our error says
    found: Credential = DefaultAzureCredential(managed_identity_client_id=client or environ.get("AZURE_CLIENT_ID"))
    return found


@dataclass(frozen=True)
class PlainToken:
    token: str = field(repr=False)
    expires_on: int


class OnBehalfOf:
    """Tokens of the user who started the Azure ML job, from the address that the job's environment names."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def get_token(self, scope: str, /) -> PlainToken:
        query = urlencode({"resource": scope.removesuffix("/.default")})
        with urllib.request.urlopen(f"{self._endpoint}?{query}", timeout=REQUEST_TIMEOUT_S) as response:
            found = json.load(response)
        expires_on = found.get("expires_on") or time.time() + float(found.get("expires_in", 0))
        return PlainToken(found["access_token"], int(float(expires_on)))
