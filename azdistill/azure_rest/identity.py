"""Who this process is in Azure: the identity of an Azure ML job, or whom azure-identity finds."""

import json
import logging
import os
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol
from urllib.parse import urlencode

from azdistill.contracts.errors import InputError

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


def new_token(owner: str, scope: str, credential: Callable[[], Credential]) -> Token:
    """A token for `scope`. Raises InputError, which names `owner` and what to do, when there is no identity."""
    try:
        return credential().get_token(scope)
    except InputError:
        raise
    except Exception as problem:  # a credential raises what it likes
        raise InputError(
            f"{owner}: no Entra token for {scope!r}; sign in with `az login`, or inside Azure ML give the pipeline "
            f"`identity: {{type: managed_identity}}` and its compute one ({_short(problem)})"
        ) from None


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
            "a token of Entra ID (entra_scope, a connection, a model in a workspace) needs azure-identity, which is "
            "not installed; pip install 'azdistill[azure]'"
        ) from None
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)  # it would say in ten lines what our error says
    found: Credential = DefaultAzureCredential(managed_identity_client_id=client or environ.get("AZURE_CLIENT_ID"))
    return found


class HoldsSecret:
    """Base of what isn't pickled, since the secret would go along."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} may hold a secret and isn't pickled; ask for it in the other process")


@dataclass(frozen=True)
class PlainToken(HoldsSecret):
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
