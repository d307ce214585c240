"""The signed-in user, and `az` commands that assign roles."""

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
WORKSPACE_TYPE = "Microsoft.MachineLearningServices/workspaces"
DATA_SCIENTIST = "AzureML Data Scientist"
BLOB_CONTRIBUTOR = "Storage Blob Data Contributor"
SECRETS_READER = "Azure Machine Learning Workspace Connection Secrets Reader"
SECRETS_READER_ID = "ea01e6af-a1c1-4350-9563-ad00f8c72ec5"

# Shell that prints the object id of the signed-in user, for tokens without the claim `oid`.
OBJECT_ID_OF_USER = '"$(az ad signed-in-user show --query id --output tsv)"'
# JMESPath of the identity that jobs run as.
PRINCIPAL_ID = "identity.user_assigned_identities[0].principal_id || identity.principal_id"
NAME_CLAIMS = ("upn", "unique_name", "preferred_username", "appid")
TENANT = re.compile(r'authorization_uri="https://[^/"]+/(?P<tenant>[0-9A-Fa-f-]{36})')

PrincipalType = Literal["User", "ServicePrincipal"]


@dataclass(frozen=True)
class SignedInUser:
    """User or service principal of an access token, from its claims. Fields are empty for absent claims."""

    name: str = ""
    object_id: str = ""
    tenant: str = ""
    type: PrincipalType = "User"

    def __str__(self) -> str:
        name = self.name or self.object_id
        user = f"as {name}" if name else "signed in"
        return f"{user}, tenant {self.tenant}" if self.tenant else user


def signed_in_user(client: "MLClient") -> SignedInUser:
    """Raises what the client's credential raises when nobody is signed in."""
    credential: Any = client._credential  # MLClient has no public attribute for it
    return _user(_claims(credential.get_token(SCOPE).token))


def _claims(token: str) -> dict[str, Any]:
    """Claims of a JSON Web Token, empty for a token of another form. The signature is not verified."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def _user(claims: dict[str, Any]) -> SignedInUser:
    """Source: the claims of Entra's access tokens, versions 1 and 2."""
    name = next((str(claims[claim]) for claim in NAME_CLAIMS if claims.get(claim)), "")
    principal: PrincipalType = "ServicePrincipal" if claims.get("idtyp") == "app" else "User"
    return SignedInUser(name, str(claims.get("oid", "")), str(claims.get("tid", "")), principal)


def assign_role(role: str, scope: str, assignee: str, principal: PrincipalType = "ServicePrincipal") -> str:
    """Command that assigns a role. `assignee` is an object id or shell that prints one, `scope` is quoted already."""
    return (
        f"az role assignment create --role {shlex.quote(role)} --assignee-object-id {assignee} "
        f"--assignee-principal-type {principal} --scope {scope}"
    )


def assign_role_to_user(client: "MLClient", role: str, scope: str) -> str:
    """Command that assigns a role to the signed-in user."""
    user = signed_in_user(client)
    return assign_role(role, scope, shlex.quote(user.object_id) if user.object_id else OBJECT_ID_OF_USER, user.type)


def assign_role_to_jobs(client: "MLClient", role: str, scope: str, cluster: str | None = None) -> str:
    """Command that assigns a role to the identity that jobs run as: the cluster's, or the workspace's on serverless."""
    show = f"workspace show --name {_workspace(client)} {resource_group_options(client)}"
    if cluster is not None:
        show = f"compute show --name {shlex.quote(cluster)} {workspace_options(client)}"
    return assign_role(role, scope, f"\"$(az ml {show} --query '{PRINCIPAL_ID}' --output tsv)\"")


def workspace_scope(client: "MLClient") -> str:
    """Resource id of the workspace, quoted for a shell."""
    group = f"/subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
    return shlex.quote(f"{group}/providers/{WORKSPACE_TYPE}/{client.workspace_name}")


def resource_group_options(client: "MLClient") -> str:
    """Options of `az` that name the workspace's resource group."""
    return f"--resource-group {shlex.quote(client.resource_group_name)} {subscription_option(client)}"


def subscription_option(client: "MLClient") -> str:
    """Option of `az` that names the workspace's subscription."""
    return f"--subscription {shlex.quote(client.subscription_id)}"


def workspace_options(client: "MLClient") -> str:
    """Options of `az ml` that name the workspace."""
    return f"--workspace-name {_workspace(client)} {resource_group_options(client)}"


def _workspace(client: "MLClient") -> str:
    return shlex.quote(client.workspace_name or "")


def required_tenant(error: "HttpResponseError") -> str | None:
    """Tenant of the subscription, from the WWW-Authenticate header of a 401."""
    headers = error.response.headers if error.response is not None else {}
    match = TENANT.search(headers.get("WWW-Authenticate", ""))
    return match["tenant"] if match else None
