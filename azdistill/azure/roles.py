"""The signed-in user, built-in roles, and `az` commands that assign them.

roles.json has the roles, and which principal of infra/ needs which of them on what; the Bicep files read it, too.
"""

import base64
import json
import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
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


@dataclass(frozen=True)
class RoleAssignment:
    """A role that a principal of infra/ has on a resource. `principal` and `scope` are names of roles.json."""

    principal: str
    role: Role
    scope: str
    why: str


TABLE: dict[str, Any] = json.loads(files("azdistill.azure").joinpath("roles.json").read_text(encoding="utf-8"))
PRINCIPALS: dict[str, str] = TABLE["principals"]


def built_in_role(key: str, included_in: frozenset[str] = frozenset()) -> Role:
    """A role by its key in roles.json."""
    return Role(**TABLE["roles"][key], included_in=included_in)


# Contributor and Owner may do everything that is not an action on data.
CONTRIBUTOR, OWNER = built_in_role("contributor").id, "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
MANAGERS = frozenset({CONTRIBUTOR, OWNER})
BLOB_OWNER = "b7e6dc6d-f1e8-4753-8033-0f276bb0955b"

DATA_SCIENTIST = built_in_role("dataScientist", MANAGERS)
BLOB_CONTRIBUTOR = built_in_role("blobContributor", frozenset({BLOB_OWNER}))
BLOB_READER = built_in_role("blobReader", frozenset({BLOB_CONTRIBUTOR.id, BLOB_OWNER}))
SECRETS_READER = built_in_role("secretsReader", MANAGERS)
ACR_PULL = built_in_role("acrPull", MANAGERS | {built_in_role("acrPush").id})
AI_USER = built_in_role("aiUser")
COGNITIVE_USER = built_in_role("cognitiveUser")
REGISTRY_READER = built_in_role("reader", MANAGERS | {built_in_role("registryUser").id})

ASSIGNMENTS = tuple(
    RoleAssignment(item["principal"], built_in_role(item["role"]), item["scope"], item["why"])
    for item in TABLE["assignments"]
)

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
