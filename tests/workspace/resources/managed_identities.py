"""Managed identities of the workspace and its computes, and roles that are assigned to them.

`az ml workspace create` gives a workspace a system-assigned identity; this one has a user-assigned identity, too, as
serverless compute needs it.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.routes import resource_manager
from tests.workspace.wire import ArmError, Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

ROLES_VERSION = "2022-04-01"
REGISTRY_VERSION = "2023-07-01"
BLOB_CONTRIBUTOR = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
BLOB_READER = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
DATA_SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"
SECRETS_READER = "ea01e6af-a1c1-4350-9563-ad00f8c72ec5"
ACR_PULL = "7f951dda-4ed3-4680-a7ca-43fe172d538d"
REGISTRY_USER = "1823dd4f-9b8c-4ab6-ab4e-7397a3684615"

# Operations of steps and clients that need one of these roles, by method and part of the path.
OPERATIONS = {
    ("PUT", "/models/"): frozenset({DATA_SCIENTIST}),
    ("POST", "/listsecrets"): frozenset({DATA_SCIENTIST, SECRETS_READER}),
    ("POST", "/import"): frozenset({REGISTRY_USER}),
}


def guid(name: str) -> str:
    """The same id for the same name, in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


@dataclass(frozen=True)
class UserAssigned:
    """A user-assigned identity."""

    name: str

    @property
    def principal_id(self) -> str:
        return guid(f"principal of {self.name}")

    @property
    def client_id(self) -> str:
        return guid(f"client of {self.name}")

    def resource_id(self, group: str) -> str:
        return f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{self.name}"


@dataclass
class Identities:
    """Identities of one resource: `system` is the principal id of its system-assigned one. Both may be absent."""

    system: str | None = None
    user: list[UserAssigned] = field(default_factory=list)

    def body(self, group: str) -> dict[str, Any]:
        """The identity of a workspace or compute as ARM returns it: user-assigned identities by resource id."""
        types = [*(["SystemAssigned"] if self.system else []), *(["UserAssigned"] if self.user else [])]
        body: dict[str, Any] = {"type": ",".join(types) or "None"}
        if self.system:
            body["principalId"] = self.system
        if self.user:
            body["userAssignedIdentities"] = {
                user.resource_id(group): {"principalId": user.principal_id, "clientId": user.client_id}
                for user in self.user
            }
        return body


JOBS = UserAssigned("jobs")


class ManagedIdentities:
    """`workspace` and `computes` (by name) are the identities of these. A compute that is not in the mapping has a
    system-assigned one."""

    def __init__(self) -> None:
        self.workspace = Identities(guid("system identity of the workspace"), [JOBS])
        self.computes = {"gpu-cluster": Identities(user=[JOBS])}

    def of_compute(self, name: str) -> Identities:
        return self.computes.get(name) or Identities(guid(f"system identity of {name}"))

    def check_job(self, properties: Mapping[str, Any]) -> None:
        """Raises the ArmError of a job whose nodes request a managed identity that their compute does not have.

        Serverless compute accepts user-assigned identities of the workspace only. Sources: "Identity support" in
        https://learn.microsoft.com/azure/machine-learning/how-to-use-serverless-compute, and the docs of clusters.
        """
        default = (properties.get("settings") or {}).get("default_compute")
        for node in (properties.get("jobs") or {"": properties}).values():
            identity = node.get("identity") or properties.get("identity") or {}
            compute = str(node.get("computeId") or default or "").rpartition("/")[2]
            if (identity.get("identity_type") or identity.get("identityType")) == "Managed":
                self._check_node(compute, identity.get("client_id") or identity.get("clientId"))

    def _check_node(self, compute: str, client_id: str | None) -> None:
        is_serverless = compute == "serverless"
        owner = self.workspace if is_serverless else self.of_compute(compute)
        if not owner.user and (is_serverless or not owner.system):
            kind = "user-assigned identity of the workspace" if is_serverless else "managed identity"
            raise ArmError(400, "UserError", f"Compute {compute!r} needs a {kind}, and there is none.")
        if client_id and client_id not in [user.client_id for user in owner.user]:
            raise ArmError(400, "UserError", f"Compute {compute!r} has no identity with client id {client_id}.")


@dataclass(frozen=True)
class Assignment:
    """A role (its GUID) that a principal has on a scope and all below."""

    principal: str
    role: str
    scope: str
    condition: str | None = None


class RoleAssignments:
    """`assigned` has the roles of all principals. `readable` is whether the signed-in user may list them: an AzureML
    Data Scientist may not. `registry_admin` is whether the container registry has an admin user, with which Azure ML
    pulls images."""

    def __init__(self, scopes: dict[str, str], principals: list[str]) -> None:
        self.readable = True
        self.registry_admin = False
        self.assigned = [
            Assignment(principal, role, scope) for principal in principals for role, scope in scopes.items()
        ]

    def check(self, request: Request, principal: str | None) -> None:
        """Raises the ArmError 403 of a principal without a role that allows the operation."""
        for (method, path), roles in OPERATIONS.items():
            if method == request.method and path in request.path and not self._has_one(principal, roles):
                message = f"The client with object id {principal!r} does not have authorization to perform this action."
                raise ArmError(403, "AuthorizationFailed", message)

    def _has_one(self, principal: str | None, roles: frozenset[str]) -> bool:
        return any(held.principal == principal and held.role in roles for held in self.assigned)

    def assign(self, principal: str, role: str, scope: str, condition: str | None = None) -> None:
        self.assigned.append(Assignment(principal, role, scope, condition))

    def remove(self, role: str, principal: str | None = None) -> None:
        """Remove a role of a principal, or of all."""
        self.assigned = [
            assignment
            for assignment in self.assigned
            if assignment.role != role or principal not in (None, assignment.principal)
        ]


@resource_manager("GET", "/{scope:path}/providers/Microsoft.Authorization/roleAssignments", ROLES_VERSION)
def role_assignments(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Roles of one principal at and above a scope."""
    if not workspace.roles.readable:
        action = "Microsoft.Authorization/roleAssignments/read"
        raise ArmError(403, "AuthorizationFailed", f"The client does not have authorization to perform {action!r}.")
    scope, subscription = f"/{request.names['scope']}", f"/subscriptions/{workspace.subscription}"
    items = [
        {
            "id": f"{assignment.scope}/providers/Microsoft.Authorization/roleAssignments/{guid(str(assignment))}",
            "properties": {
                "principalId": assignment.principal,
                "roleDefinitionId": f"{subscription}/providers/Microsoft.Authorization/roleDefinitions/"
                f"{assignment.role}",
                "scope": assignment.scope,
                "condition": assignment.condition,
            },
        }
        for assignment in workspace.roles.assigned
        if f"assignedTo('{assignment.principal}')" in request.query["$filter"]
        and scope.lower().startswith(assignment.scope.lower())
    ]
    return page(request, items, workspace.page_size)


@resource_manager("GET", "/{scope:path}/providers/Microsoft.ContainerRegistry/registries/{name}", REGISTRY_VERSION)
def container_registry(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(
        body={
            "id": request.path,
            "name": request.names["name"],
            "properties": {"adminUserEnabled": workspace.roles.registry_admin},
        }
    )
