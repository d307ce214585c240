"""Who is signed in, and the commands that let somebody in, with the real names in them."""

import base64
import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

SCOPE = "https://management.azure.com/.default"
WORKSPACES = "Microsoft.MachineLearningServices/workspaces"
SCIENTIST = "AzureML Data Scientist"
WRITER = "Storage Blob Data Contributor"
SECRETS_READER = "Azure Machine Learning Workspace Connection Secrets Reader"
SECRETS_READER_ID = "ea01e6af-a1c1-4350-9563-ad00f8c72ec5"

MYSELF = '"$(az ad signed-in-user show --query id --output tsv)"'
IDENTITY = "identity.user_assigned_identities[0].principal_id || identity.principal_id"
NAMES = ("upn", "unique_name", "preferred_username", "appid")
TENANT = re.compile(r'authorization_uri="https://[^/"]+/(?P<tenant>[0-9A-Fa-f-]{36})')

Kind = Literal["User", "ServicePrincipal"]


@dataclass(frozen=True)
class Caller:
    """Whom a token of the resource manager is for, as its claims tell it; empty where they don't."""

    name: str = ""
    object_id: str = ""
    tenant: str = ""
    kind: Kind = "User"

    def __str__(self) -> str:
        who = f"as {self.name or self.object_id}" if self.name or self.object_id else "signed in"
        return who + (f", tenant {self.tenant}" if self.tenant else "")


def caller_of(client: "MLClient") -> Caller:
    """Raises what the client's credential raises when nobody is signed in."""
    credential: Any = client._credential  # the client has no public way to it
    return _read(_claims(credential.get_token(SCOPE).token))


def _claims(token: str) -> dict[str, Any]:
    """Nothing is verified: what is read is shown, and grants nothing. Empty for a token that can't be read."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(claims: dict[str, Any]) -> Caller:
    """Source: the claims of Entra's access tokens, version 1 and 2."""
    name = next((str(claims[claim]) for claim in NAMES if claims.get(claim)), "")
    kind: Kind = "ServicePrincipal" if claims.get("idtyp") == "app" else "User"
    return Caller(name, str(claims.get("oid", "")), str(claims.get("tid", "")), kind)


def grant(role: str, scope: str, to: str, kind: Kind = "ServicePrincipal") -> str:
    """The command that gives a role; `to` is an object id, or shell that prints one, and `scope` is quoted."""
    return (
        f"az role assignment create --role {shlex.quote(role)} --assignee-object-id {to} "
        f"--assignee-principal-type {kind} --scope {scope}"
    )


def grant_caller(client: "MLClient", role: str, scope: str) -> str:
    """The command that gives a role to the one who is signed in."""
    caller = caller_of(client)
    return grant(role, scope, shlex.quote(caller.object_id) if caller.object_id else MYSELF, caller.kind)


def grant_job(client: "MLClient", role: str, scope: str, cluster: str | None = None) -> str:
    """The command that gives a role to whom a job runs as: a cluster's identity, or the workspace's for serverless."""
    shown = f"workspace show --name {_workspace(client)} {in_group(client)}"
    if cluster is not None:
        shown = f"compute show --name {shlex.quote(cluster)} {in_workspace(client)}"
    return grant(role, scope, f"\"$(az ml {shown} --query '{IDENTITY}' --output tsv)\"")


def workspace_scope(client: "MLClient") -> str:
    """The workspace's address in the resource manager, quoted for a shell."""
    group = f"/subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
    return shlex.quote(f"{group}/providers/{WORKSPACES}/{client.workspace_name}")


def in_group(client: "MLClient") -> str:
    """The flags by which `az` finds the workspace's resource group."""
    return f"--resource-group {shlex.quote(client.resource_group_name)} {in_subscription(client)}"


def in_subscription(client: "MLClient") -> str:
    return f"--subscription {shlex.quote(client.subscription_id)}"


def in_workspace(client: "MLClient") -> str:
    """The flags by which `az ml` finds the workspace."""
    return f"--workspace-name {_workspace(client)} {in_group(client)}"


def _workspace(client: "MLClient") -> str:
    return shlex.quote(client.workspace_name or "")


def wanted_tenant(problem: "HttpResponseError") -> str | None:
    """The tenant of the subscription, which the resource manager names in the header of a 401."""
    headers = problem.response.headers if problem.response is not None else {}
    found = TENANT.search(headers.get("WWW-Authenticate", ""))
    return found["tenant"] if found else None
