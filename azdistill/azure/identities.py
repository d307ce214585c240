"""Identities that jobs run as: those of the workspace and its computes, and the user."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PrincipalType = Literal["User", "ServicePrincipal"]
IdentityType = Literal["managed_identity", "user_identity"]

# Shell that prints the object id of the signed-in user, for tokens without the claim `oid`.
OBJECT_ID_OF_USER = '"$(az ad signed-in-user show --query id --output tsv)"'


@dataclass(frozen=True)
class Principal:
    """An identity that roles are assigned to. `object_id` is empty where it is not known.

    `resource_id` is that of a user-assigned identity, empty for any other one.
    """

    name: str
    object_id: str
    type: PrincipalType = "ServicePrincipal"
    resource_id: str = ""

    @property
    def assignee(self) -> str:
        """The object id, or shell that prints it."""
        if self.object_id:
            return shlex.quote(self.object_id)
        if self.resource_id:
            return f'"$(az identity show --ids {shlex.quote(self.resource_id)} --query principalId --output tsv)"'
        return OBJECT_ID_OF_USER


@dataclass(frozen=True)
class UserAssignedIdentity:
    """A user-assigned identity of a workspace or compute."""

    resource_id: str
    client_id: str
    principal_id: str

    @property
    def name(self) -> str:
        return self.resource_id.rpartition("/")[2]

    @property
    def principal(self) -> Principal:
        return Principal(f"identity {self.name!r}", self.principal_id, resource_id=self.resource_id)


@dataclass(frozen=True)
class AssignedIdentities:
    """The identities of a workspace or compute. `system` is the principal id of the system-assigned one, or empty."""

    system: str
    user_assigned: tuple[UserAssignedIdentity, ...]


def assigned_identities(resource: Any) -> AssignedIdentities:
    """The identities of the SDK's object of a workspace or compute.

    The SDK has a list of the user-assigned ones, while `az ml workspace show` prints a mapping by resource id. It
    leaves `client_id` and `principal_id` empty (1.35): the ids are among the raw fields of its objects.
    """
    identity = getattr(resource, "identity", None)
    if identity is None:
        return AssignedIdentities("", ())
    system = identity.principal_id if "system_assigned" in str(identity.type) else ""
    user_assigned = tuple(_user_assigned(item) for item in identity.user_assigned_identities or ())
    return AssignedIdentities(system or "", user_assigned)


def _user_assigned(item: Any) -> UserAssignedIdentity:
    raw = vars(item)
    client_id, principal_id = item.client_id or raw.get("clientId"), item.principal_id or raw.get("principalId")
    return UserAssignedIdentity(item.resource_id, client_id or "", principal_id or "")


@dataclass(frozen=True)
class JobIdentity:
    """The identity that a pipeline file requests for a node."""

    type: IdentityType = "managed_identity"
    client_id: str | None = None


def job_identity(document: Mapping[str, Any], node: Mapping[str, Any]) -> JobIdentity:
    """The identity of a node: its own, else that of its pipeline, else a managed identity."""
    identity = node.get("identity") or document.get("identity") or {}
    user = str(identity.get("type")).replace("_", "").casefold() == "useridentity"
    return JobIdentity("user_identity" if user else "managed_identity", identity.get("client_id"))
