"""Check the roles of the identities that a job runs as."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azdistill.azure.arm import get_resource
from azdistill.azure.checks.identity import ComputePrincipals
from azdistill.azure.checks.result import CheckResult, failed, ok, unknown
from azdistill.azure.errors import translate_errors
from azdistill.azure.identities import Principal
from azdistill.azure.roles import (
    ACR_PULL,
    AI_USER,
    BLOB_CONTRIBUTOR,
    COGNITIVE_USER,
    DATA_SCIENTIST,
    MANAGERS,
    SECRETS_READER,
    Role,
    assign_role,
    subscription_option,
    workspace_id,
)
from azdistill.contracts.chat_url import RESOURCE_HOSTS, inference_role
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ASSIGNMENTS_VERSION, REGISTRY_VERSION = "2022-04-01", "2023-07-01"
READER, BLOB_READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7", "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1"
# Roles that allow nothing that a role of this module does, other than themselves.
NARROW = frozenset({SECRETS_READER.id, BLOB_CONTRIBUTOR.id, ACR_PULL.id, COGNITIVE_USER.id, READER, BLOB_READER})

# Roles by the names that `inference_role` returns for resources and projects.
INFERENCE_ROLES = {role.name: role for role in (COGNITIVE_USER, AI_USER)}

StepsOfPrincipals = tuple[ComputePrincipals, frozenset[str]]
"""Principals of one compute, and the names of the steps that run there."""


@dataclass(frozen=True)
class RequiredRole:
    """A role that a principal needs on a resource. `scope` is the id of the resource."""

    principal: Principal
    role: Role
    scope: str

    @property
    def checked(self) -> str:
        return f"role {self.role.name!r} of {self.principal.name}"


def required_roles(
    client: "MLClient",
    workspace: Any,
    datastore: Any,
    principals: Sequence[StepsOfPrincipals],
    *,
    reads_connections: bool,
) -> list[RequiredRole]:
    """The roles that the steps of a job need, and no others.

    Mounts use the key of the datastore where it has one: then no role on the storage account is needed.
    """
    required: list[RequiredRole] = []
    for compute, steps in principals:
        if workspace.container_registry and compute.pulls_as:
            required.append(RequiredRole(compute.pulls_as, ACR_PULL, workspace.container_registry))
        if has_no_key(datastore):
            required.append(RequiredRole(compute.runs_as, BLOB_CONTRIBUTOR, workspace.storage_account))
        if "register" in steps:
            required.append(RequiredRole(compute.runs_as, DATA_SCIENTIST, workspace_id(client)))
        if "teacher" in steps and reads_connections:
            required.append(RequiredRole(compute.runs_as, SECRETS_READER, workspace_id(client)))
    return list(dict.fromkeys(required))


def has_no_key(datastore: Any) -> bool:
    """True if access to a datastore uses the identity of the caller. False without a datastore."""
    from azure.ai.ml.entities import NoneCredentialConfiguration

    return datastore is not None and isinstance(datastore.credentials, NoneCredentialConfiguration)


def check_roles(client: "MLClient", required: Sequence[RequiredRole]) -> Iterator[CheckResult]:
    """One result for each role. Unknown where the signed-in user may not list role assignments."""
    assigned: dict[tuple[Principal, str], frozenset[str] | str] = {}
    for need in required:
        key = need.principal, need.scope
        if key not in assigned:
            assigned[key] = _read_assigned(client, *key)
        yield _check_role(client, need, assigned[key])


def _read_assigned(client: "MLClient", principal: Principal, scope: str) -> frozenset[str] | str:
    """Ids of the roles of a principal at a scope and above it, through its groups, too; or why they are not known.

    A role with a condition gets another id, because it may not allow all that the role does. Source:
    https://learn.microsoft.com/azure/role-based-access-control/role-assignments-list-rest
    """
    from azure.core.exceptions import HttpResponseError

    if not principal.object_id:
        return f"the object id of {principal.name} is not known"
    path, query = f"{scope}/providers/Microsoft.Authorization/roleAssignments", f"assignedTo('{principal.object_id}')"
    try:
        with translate_errors("roles"):
            try:
                body = get_resource(client, path, ASSIGNMENTS_VERSION, filter=f"atScope() and {query}")
            except HttpResponseError as error:
                if error.status_code == 403:
                    return "you may not list its role assignments"
                raise
    except AzdistillError as error:
        return error.problems[0].message
    roles = (item["properties"] for item in body["value"])
    return frozenset(
        f"{'conditional ' if role.get('condition') else ''}{role['roleDefinitionId'].rpartition('/')[2]}"
        for role in roles
    )


def _check_role(client: "MLClient", need: RequiredRole, assigned: frozenset[str] | str) -> CheckResult:
    """Another role than the built-in ones may allow the same: then the result is unknown."""
    resource, command = need.scope.rpartition("/")[2], assign_role(need.role, shlex.quote(need.scope), need.principal)
    if isinstance(assigned, str):
        return unknown(need.checked, "role_unknown", assigned, f"assign it on {resource}, if it is not", command)
    if assigned & {need.role.id, *need.role.included_in}:
        return ok(need.checked, f"on {resource}")
    if need.role == ACR_PULL and _has_admin_user(client, need.scope):
        return ok(need.checked, f"not needed: {resource} has an admin user")
    if others := assigned - NARROW - (MANAGERS - need.role.included_in):
        message = f"not assigned on {resource}, where another role may allow the same ({', '.join(sorted(others))})"
        return unknown(need.checked, "role_unknown", message, "assign it, if that role does not", command)
    fix = "assign it; that takes effect minutes later"
    return failed(need.checked, "role_missing", f"not assigned on {resource}", fix, command)


def _has_admin_user(client: "MLClient", registry: str) -> bool:
    """True if Azure ML can pull images with the registry's admin user. False if that cannot be read."""
    from azure.core.exceptions import AzureError

    try:
        return bool(get_resource(client, registry, REGISTRY_VERSION)["properties"].get("adminUserEnabled"))
    except AzureError:
        return False


def check_teacher_roles(
    client: "MLClient", principals: Sequence[StepsOfPrincipals], urls: Sequence[str]
) -> Iterator[CheckResult]:
    """One result for each Foundry or Azure OpenAI resource that a teacher step uses with an Entra token. Unknown: its
    id, which the role assignments are listed by, does not follow from its URL."""
    hosts = {url: urlsplit(url).hostname or "" for url in urls}
    resources = {
        (host.partition(".")[0], inference_role(url)) for url, host in hosts.items() if host.endswith(RESOURCE_HOSTS)
    }
    for compute, steps in principals:
        for name, role in sorted(resources) if "teacher" in steps else ():
            yield _unknown_teacher_role(client, compute.runs_as, name, INFERENCE_ROLES[role])


def _unknown_teacher_role(client: "MLClient", principal: Principal, name: str, role: Role) -> CheckResult:
    checked = f"role {role.name!r} of {principal.name} on {name}"
    query = shlex.quote(f"[?properties.customSubDomainName=='{name}'].id | [0]")
    find = f"az cognitiveservices account list {subscription_option(client)} --query {query} --output tsv"
    command = assign_role(role, f'"$({find})"', principal)
    message = "role assignments of another resource are not looked up"
    return unknown(checked, "role_unknown", message, "assign it, if it is not", command)
