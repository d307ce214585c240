"""The Azure identity of this process: that of an Azure ML job, or the one that azure-identity finds."""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol
from urllib.parse import urlencode

from azdistill.azure_rest.cloud import AUTHORITY_VARIABLE, cloud_of
from azdistill.contracts.errors import InputError
from azdistill.engine.redaction import quote

REQUEST_TIMEOUT_S = 30.0


class Token(Protocol):
    """Result of `Credential.get_token`. `expires_on` is in seconds since the epoch."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> int: ...


class Credential(Protocol):
    """Interface that every credential of azure-identity has."""

    def get_token(self, scope: str, /) -> Token: ...


def get_token(subject: str, scope: str, credential: Callable[[], Credential]) -> Token:
    """Get a token for `scope`. Raises InputError about `subject` when no identity gives one."""
    try:
        return credential().get_token(scope)
    except InputError:
        raise
    except Exception as error:  # credentials raise exceptions of many types
        reason = str(error).strip().partition("\n")[0]  # the other lines are one for each kind of login
        raise InputError(
            f"no Entra token for {scope!r} ({type(error).__name__}: {quote(reason)})",
            code="no_token",
            subject=subject,
            fix="sign in with `az login`, or inside Azure ML give the pipeline `identity: {type: managed_identity}` "
            "and its compute a managed identity",
        ) from None


def ambient_credential(environ: Mapping[str, str] = os.environ) -> Credential:
    """Credential of this process.

    Inside an Azure ML job: the user who submitted it, or its managed identity. Elsewhere: the credential that
    azure-identity finds (`az login`, a service principal). Raises InputError without azure-identity.
    """
    client_id = environ.get("DEFAULT_IDENTITY_CLIENT_ID")
    if environ.get("OBO_ENDPOINT") and not client_id:
        return AzureMLOnBehalfOfCredential(environ["OBO_ENDPOINT"])
    try:
        from azure.identity import DefaultAzureCredential
    except ModuleNotFoundError:
        raise InputError(
            "an Entra token (entra_scope, a connection, a model in a workspace) needs the package azure-identity",
            code="missing_package",
            fix="install it",
            command="pip install 'azdistill[azure]'",
        ) from None
    credential: Credential = DefaultAzureCredential(
        managed_identity_client_id=client_id or environ.get("AZURE_CLIENT_ID"),
        authority=environ.get(AUTHORITY_VARIABLE) or cloud_of(environ).authority,
    )
    return credential


class HoldsSecret:
    """Base class of objects that cannot be pickled, because a pickle would contain their secret."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} may hold a secret and cannot be pickled; create it in the other process")


@dataclass(frozen=True)
class BearerToken(HoldsSecret):
    """A token that is not shown by its repr, unlike azure.core.credentials.AccessToken."""

    token: str = field(repr=False)
    expires_on: int


class AzureMLOnBehalfOfCredential:
    """Tokens of the user who submitted the Azure ML job, from the endpoint in $OBO_ENDPOINT."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    def get_token(self, scope: str, /) -> BearerToken:
        query = urlencode({"resource": scope.removesuffix("/.default")})
        with urllib.request.urlopen(f"{self._endpoint}?{query}", timeout=REQUEST_TIMEOUT_S) as response:
            content = json.load(response)
        expires_on = content.get("expires_on") or time.time() + float(content.get("expires_in", 0))
        return BearerToken(content["access_token"], int(float(expires_on)))
