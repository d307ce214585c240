"""Log in to Azure with the OIDC token of a workflow, as often as needed: Entra ID accepts a token for minutes only."""

import json
import urllib.request
from collections.abc import Mapping
from urllib.error import URLError
from urllib.parse import quote

from azdistill.contracts.errors import AzdistillError, InputError
from scripts.cd.az import STDIN, AzureCli

AUDIENCE = "api://AzureADTokenExchange"
# An az process caches one access token per scope for about an hour, and cannot get one for a further scope after the
# OIDC token has expired. So one of each is requested at the login. storage: to download outputs of a job.
SCOPES = (
    "https://management.azure.com/.default",
    "https://ml.azure.com/.default",
    "https://storage.azure.com/.default",
)
REQUEST_TIMEOUT_S = 30.0


def can_log_in(environ: Mapping[str, str]) -> bool:
    """True in a job of GitHub Actions with `id-token: write`, and in a task of Azure Pipelines."""
    return bool(environ.get("ACTIONS_ID_TOKEN_REQUEST_URL") or environ.get("SYSTEM_OIDCREQUESTURI"))


def log_in(az: AzureCli, environ: Mapping[str, str]) -> None:
    """Log in as $AZURE_CLIENT_ID with a new OIDC token, and select the subscription.

    Raises InputError where a variable is missing, AzdistillError where no token is issued.
    """
    names = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_SUBSCRIPTION_ID")
    missing = [name for name in names if not environ.get(name)]
    if missing and not az.dry_run:
        raise InputError(
            f"{', '.join(missing)} is not set", subject="login", fix="set the variables of the environment"
        )
    client, tenant, subscription = (environ.get(name, f"${name}") for name in names)
    token = "" if az.dry_run else identity_token(environ)
    principal = ("--service-principal", "--username", client, "--tenant", tenant)
    az("login", *principal, "--federated-token", STDIN, stdin=token)
    az("account", "set", "--subscription", subscription)


def fetch_tokens(az: AzureCli) -> None:
    """Let az cache an access token for each scope that the later verbs need. The tokens are not printed."""
    for scope in SCOPES:
        reply = az("account", "get-access-token", "--scope", scope, assume={}) or {}
        az.report(f"token for {scope}: valid until {reply.get('expiresOn', 'an unknown time')}")


def identity_token(environ: Mapping[str, str]) -> str:
    """A new OIDC token of the job that runs this process.

    Sources: "OpenID Connect reference" of GitHub Actions; `AzurePipelinesCredential` of azure-identity.
    """
    if url := environ.get("ACTIONS_ID_TOKEN_REQUEST_URL"):
        address = f"{url}{'&' if '?' in url else '?'}audience={quote(AUDIENCE, safe='')}"
        request = urllib.request.Request(address)
        bearer, field = environ.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN", ""), "value"
    else:
        connection = environ.get("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", "")
        address = f"{environ.get('SYSTEM_OIDCREQUESTURI')}?api-version=7.1&serviceConnectionId={quote(connection)}"
        request = urllib.request.Request(address, data=b"", headers={"Content-Type": "application/json"})
        bearer, field = environ.get("SYSTEM_ACCESSTOKEN", ""), "oidcToken"
    request.add_header("Authorization", f"Bearer {bearer}")
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as reply:
            return str(json.load(reply)[field])
    except (URLError, OSError, ValueError, KeyError) as error:
        raise AzdistillError(
            f"no OIDC token was issued ({type(error).__name__}: {error})",
            subject="login",
            code="no_token",
            fix="GitHub: `permissions: id-token: write`; Azure Pipelines: AzureCLI@2 with SYSTEM_ACCESSTOKEN",
        ) from None
