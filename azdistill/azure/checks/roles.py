"""Check the roles of the identities that a job runs as."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azdistill.azure.arm import get_resource
from azdistill.azure.checks.datastores import DataSource, RegistrySource
from azdistill.azure.checks.identity import ComputePrincipals
from azdistill.azure.checks.result import CheckResult, failed, ok, unknown
from azdistill.azure.checks.storage import account_scope
from azdistill.azure.errors import translate_errors
from azdistill.azure.identities import Principal
from azdistill.azure.roles import (
    ACR_PULL,
    AI_USER,
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    COGNITIVE_USER,
    DATA_SCIENTIST,
    MANAGERS,
    REGISTRY_READER,
    SECRETS_READER,
    Role,
    assign_role,
    subscription_option,
    workspace_id,
)
from azdistill.contracts.chat_url import ONLINE_ENDPOINT_HOSTS, RESOURCE_HOSTS, inference_role
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ASSIGNMENTS_VERSION, REGISTRY_VERSION = "2022-04-01", "2023-07-01"
# Roles that allow nothing that a role of this module does, other than themselves.
NARROW = frozenset(
    role.id for role in (SECRETS_READER, BLOB_CONTRIBUTOR, ACR_PULL, COGNITIVE_USER, REGISTRY_READER, BLOB_READER)
)

# Roles by the names that `inference_role` returns for resources and projects.
INFERENCE_ROLES = {role.name: role for role in (COGNITIVE_USER, AI_USER)}


@dataclass(frozen=True)
class RequiredRole:
    """A role that a principal needs on a resource. `scope` is the id of the resource, or shell that prints it."""

    principal: Principal
    role: Role
    resource: str
    scope: str

    @property
    def checked(self) -> str:
        return f"role {self.role.name!r} of {self.principal.name} on {self.resource}"

    @property
    def command(self) -> str:
        scope = shlex.quote(self.scope) if _is_id(self.scope) else self.scope
        return assign_role(self.role, scope, self.principal)


@dataclass(frozen=True)
class EndpointAccess:
    """Resources that a step with requests to endpoints reads. It has no key for `token_urls`."""

    reads_connections: bool
    token_urls: Sequence[str]


def required_roles(
    client: "MLClient",
    workspace: Any,
    datastores: Sequence[Any],
    principals: Sequence[ComputePrincipals],
    accesses: Mapping[str, EndpointAccess],
    sources: Sequence[DataSource | RegistrySource],
) -> list[RequiredRole]:
    """The roles that the steps of a job need, and no others. `accesses` are those of steps, by name.

    Steps write to `datastores`, which may contain None, and read from `sources`. Mounts use the key of a datastore
    that has one: then no role on its storage account is needed.
    """
    registry, own_account = workspace.container_registry, workspace.storage_account or ""
    written = dict.fromkeys(filter(None, map(_account_without_key, datastores)))
    required: list[RequiredRole] = []
    for compute in principals:
        if registry and compute.pulls_as:
            required.append(RequiredRole(compute.pulls_as, ACR_PULL, registry.rpartition("/")[2], registry))
        for account in written:
            required.append(_storage_role(compute.runs_as, BLOB_CONTRIBUTOR, account, own_account))
        inputs = [source for source in sources if source.steps & compute.steps]
        read = [_account_without_key(source.datastore) for source in inputs if isinstance(source, DataSource)]
        for account in dict.fromkeys(name for name in read if name and name not in written):
            required.append(_storage_role(compute.runs_as, BLOB_READER, account, own_account))
        for source in inputs:
            if isinstance(source, RegistrySource):
                required.append(RequiredRole(compute.runs_as, REGISTRY_READER, f"registry {source.name!r}", source.id))
        of_compute = [access for step, access in accesses.items() if step in compute.steps]
        roles = {
            DATA_SCIENTIST: "register" in compute.steps,
            SECRETS_READER: any(access.reads_connections for access in of_compute),
        }
        for role in (role for role, is_needed in roles.items() if is_needed):
            required.append(RequiredRole(compute.runs_as, role, str(workspace.name), workspace_id(client)))
        for access in of_compute:
            required += _inference_roles(client, compute.runs_as, access.token_urls)
    return list(dict.fromkeys(required))


def _account_without_key(datastore: Any) -> str | None:
    """The storage account of a datastore without a key. None for a datastore with a key, and for one on OneLake."""
    return getattr(datastore, "account_name", None) if has_no_key(datastore) else None


def _storage_role(principal: Principal, role: Role, account: str, own_account: str) -> RequiredRole:
    scope = own_account if own_account.endswith(f"/{account}") else account_scope(account, "")
    return RequiredRole(principal, role, account, scope)


def _inference_roles(client: "MLClient", principal: Principal, urls: Sequence[str]) -> Iterator[RequiredRole]:
    """The roles on Foundry and Azure OpenAI resources, and on the workspaces of managed online endpoints. Their ids do
    not follow from their URLs."""
    for url in urls:
        host = urlsplit(url).hostname or ""
        name = host.partition(".")[0]
        if host.endswith(ONLINE_ENDPOINT_HOSTS):
            yield RequiredRole(
                principal, DATA_SCIENTIST, f"the workspace of endpoint {name!r}", _endpoint_scope(client, name)
            )
        query = shlex.quote(f"[?properties.customSubDomainName=='{name}'].id | [0]")
        find = f"az cognitiveservices account list {subscription_option(client)} --query {query} --output tsv"
        if host.endswith(RESOURCE_HOSTS):
            yield RequiredRole(principal, INFERENCE_ROLES[inference_role(url)], name, f'"$({find})"')


def _endpoint_scope(client: "MLClient", endpoint: str) -> str:
    """Shell that prints the id of the workspace of a managed online endpoint.

    Source: the role for scoring in https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint
    """
    kind = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
    options = f"--resource-type {kind} {subscription_option(client)} --output tsv"
    query = shlex.quote(f"[?ends_with(name, '/{endpoint}')].id | [0]")
    return f"\"$(az resource list {options} --query {query} | sed 's|/onlineEndpoints/.*||')\""


def _is_id(scope: str) -> bool:
    return scope.startswith("/")


def has_no_key(datastore: Any) -> bool:
    """True if access to a datastore uses the identity of the caller. False without a datastore."""
    from azure.ai.ml.entities import NoneCredentialConfiguration

    return datastore is not None and isinstance(datastore.credentials, NoneCredentialConfiguration)


def check_registry(workspace: Any) -> Iterator[CheckResult]:
    """A workspace without a container registry, which Azure ML creates for the first image unless the workspace was
    created with one. Source: https://learn.microsoft.com/azure/machine-learning/concept-workspace"""
    if not workspace.container_registry:
        message = "the workspace has none before its first image, so the role 'AcrPull' is not checked"
        fix = "if a node cannot pull its image, run azdistill doctor again: then the registry exists"
        yield unknown("container registry", "no_registry", message, fix)


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
    if not _is_id(scope):
        return "its resource id is not known"
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
    if isinstance(assigned, str):
        return unknown(need.checked, "role_unknown", assigned, "assign it, if it is not", need.command)
    if assigned & {need.role.id, *need.role.included_in}:
        return ok(need.checked, "assigned")
    if need.role == ACR_PULL and _has_admin_user(client, need.scope):
        return ok(need.checked, "not needed: the registry has an admin user")
    if others := assigned - NARROW - (MANAGERS - need.role.included_in):
        message = f"it is not assigned, and another role may allow the same ({', '.join(sorted(others))})"
        return unknown(need.checked, "role_unknown", message, "assign it, if that role does not", need.command)
    if need.role == REGISTRY_READER:
        message = (
            "it is not assigned; whether a node reads the registry as its own identity or as yours is not documented"
        )
        return unknown(need.checked, "role_unknown", message, "assign it, to be sure", need.command)
    return failed(
        need.checked, "role_missing", "it is not assigned", "assign it; that takes effect minutes later", need.command
    )


def _has_admin_user(client: "MLClient", registry: str) -> bool:
    """True if Azure ML can pull images with the registry's admin user. False if that cannot be read."""
    from azure.core.exceptions import AzureError

    try:
        return bool(get_resource(client, registry, REGISTRY_VERSION)["properties"].get("adminUserEnabled"))
    except AzureError:
        return False
