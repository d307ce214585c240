"""The signed-in user, built-in roles, and `az` commands that assign them.

Source of the ids: https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
"""

import base64
import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.azure.identities import Principal, PrincipalType
from azdistill.azure.workspace import cloud_of_client

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

WORKSPACE_TYPE = "Microsoft.MachineLearningServices/workspaces"


@dataclass(frozen=True)
class Role:
    """A built-in role. Roles with the ids `included_in` allow the same and more."""

    name: str
    id: str
    included_in: frozenset[str] = frozenset()


# Contributor and Owner may do everything that is not an action on data.
MANAGERS = frozenset({"b24988ac-6180-42a0-ab88-20f7382dd24c", "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"})
BLOB_OWNER, ACR_PUSH = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", "8311e382-0749-4cb8-b61a-304f252e45ec"

DATA_SCIENTIST = Role("AzureML Data Scientist", "f6c7c914-8db3-469d-8ca1-694a8f32e121", MANAGERS)
BLOB_CONTRIBUTOR = Role(
    "Storage Blob Data Contributor", "ba92f5b4-2d11-453d-a403-e96b0029c9fe", frozenset({BLOB_OWNER})
)
SECRETS_READER = Role(
    "Azure Machine Learning Workspace Connection Secrets Reader", "ea01e6af-a1c1-4350-9563-ad00f8c72ec5", MANAGERS
)
ACR_PULL = Role("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d", MANAGERS | {ACR_PUSH})
AI_USER = Role("Azure AI User", "53ca6127-db72-4b80-b1b0-d745d6d5456d")
COGNITIVE_USER = Role("Cognitive Services User", "a97b65f3-24c7-4388-baec-2e87135dc908")

NAME_CLAIMS = ("upn", "unique_name", "preferred_username", "appid")
TENANT = re.compile(r'authorization_uri="https://[^/"]+/(?P<tenant>[0-9A-Fa-f-]{36})')


@dataclass(frozen=True)
class SignedInUser:
    """User or service principal of an access token, from its claims. Fields are empty for absent claims."""

    name: str = ""
    object_id: str = ""
    tenant: str = ""
    type: PrincipalType = "User"

    @property
    def principal(self) -> Principal:
        return Principal("you", self.object_id, self.type)

    def __str__(self) -> str:
        name = self.name or self.object_id
        user = f"as {name}" if name else "signed in"
        return f"{user}, tenant {self.tenant}" if self.tenant else user


def signed_in_user(client: "MLClient") -> SignedInUser:
    """Raises what the client's credential raises without a login."""
    credential: Any = client._credential  # MLClient has no public attribute for it
    return _user(_claims(credential.get_token(cloud_of_client(client).scope).token))


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


def assign_role(role: Role, scope: str, principal: Principal) -> str:
    """Command that assigns a role. `scope` is quoted for a shell already."""
    return (
        f"az role assignment create --role {role.id} --assignee-object-id {principal.assignee} "
        f"--assignee-principal-type {principal.type} --scope {scope}"
    )


def assign_role_to_user(client: "MLClient", role: Role, scope: str) -> str:
    """Command that assigns a role to the signed-in user."""
    return assign_role(role, scope, signed_in_user(client).principal)


def workspace_id(client: "MLClient") -> str:
    """Resource id of the workspace."""
    group = f"/subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
    return f"{group}/providers/{WORKSPACE_TYPE}/{client.workspace_name}"


def resource_group_options(client: "MLClient") -> str:
    """Options of `az` that name the workspace's resource group."""
    return f"--resource-group {shlex.quote(client.resource_group_name)} {subscription_option(client)}"


def subscription_option(client: "MLClient") -> str:
    """Option of `az` that names the workspace's subscription."""
    return f"--subscription {shlex.quote(client.subscription_id)}"


def workspace_options(client: "MLClient") -> str:
    """Options of `az ml` that name the workspace."""
    return f"--workspace-name {shlex.quote(client.workspace_name or '')} {resource_group_options(client)}"


def required_tenant(error: "HttpResponseError") -> str | None:
    """Tenant of the subscription, from the WWW-Authenticate header of a 401."""
    headers = error.response.headers if error.response is not None else {}
    match = TENANT.search(headers.get("WWW-Authenticate", ""))
    return match["tenant"] if match else None
