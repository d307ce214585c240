"""Check the identity that the nodes of each compute run as.

Source: "Workspace" and "Compute cluster" in
https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication, and "Identity support"
in https://learn.microsoft.com/azure/machine-learning/how-to-use-serverless-compute
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.computes import Clusters, grouped
from azdistill.azure.checks.nodes import SERVERLESS, ComputeNode
from azdistill.azure.checks.result import CheckResult, failed, ok, unknown
from azdistill.azure.identities import (
    AssignedIdentities,
    JobIdentity,
    Principal,
    UserAssignedIdentity,
    assigned_identities,
)
from azdistill.azure.roles import resource_group_options, signed_in_user, workspace_options

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# The YAML that adds a user-assigned identity to a workspace and keeps its system-assigned one, for the shell's printf.
# Source: cli/jobs/spark/user-assigned-identity.yml of Azure/azureml-examples.
IDENTITY_YAML = r'identity:\n  type: "system_assigned,user_assigned"\n  user_assigned_identities:\n    "%s": {}\n'
IDENTITY_FILE = "identity.yml"
# Client ids that a message lists at most.
LISTED = 5


@dataclass(frozen=True)
class ComputePrincipals:
    """Principals of the nodes of one compute: its `steps` run as `runs_as`; the compute pulls images as `pulls_as`,
    which is None where that cannot be known."""

    runs_as: Principal
    pulls_as: Principal | None
    steps: frozenset[str] = frozenset()


def check_identities(
    client: "MLClient", workspace: Any, nodes: Sequence[ComputeNode], clusters: Clusters
) -> Iterator[tuple[ComputePrincipals | None, CheckResult]]:
    """The principals of each compute, None where they are not known, and a result for it. Missing clusters have
    neither."""
    for same in grouped(nodes, lambda node: (node.compute, node.identity)):
        name, identity = same[0].compute, same[0].identity
        if name == SERVERLESS:
            principals, result = check_serverless_identity(client, workspace, identity)
        elif cluster := clusters[name][0]:
            principals, result = check_cluster_identity(client, name, cluster, identity)
        else:
            continue
        yield principals and replace(principals, steps=frozenset(node.step for node in same)), result


def check_serverless_identity(
    client: "MLClient", workspace: Any, identity: JobIdentity
) -> tuple[ComputePrincipals | None, CheckResult]:
    """The principals of nodes on serverless compute: a user-assigned identity of the workspace.

    The system-assigned identity that `az ml workspace create` gives a workspace is refused by serverless compute.
    """
    checked = "identity on serverless compute"
    if identity.type == "user_identity":
        message = "steps get no token of the user on serverless compute, and the steps teacher and register need one"
        fix = "name clusters in compute.cpu and compute.gpu, or remove compute.identity"
        return None, failed(checked, "user_on_serverless", message, fix)
    user_assigned = assigned_identities(workspace).user_assigned
    if not user_assigned:
        message = "the workspace has no user-assigned identity, and serverless compute accepts no other"
        fix = f"add one with {IDENTITY_FILE}, then assign its roles"
        return None, failed(checked, "no_user_assigned_identity", message, fix, add_identity_command(client))
    return _chosen(checked, "the workspace", user_assigned, identity)


def add_identity_command(client: "MLClient") -> str:
    """Command that creates a user-assigned identity and adds it to the workspace."""
    options, name = resource_group_options(client), client.workspace_name or ""
    create = f"az identity create --name {shlex.quote(f'{name}-jobs')} {options} --query id --output tsv"
    update = f"az ml workspace update --name {shlex.quote(name)} --file {IDENTITY_FILE} {options}"
    return f"identity=$({create}) && printf '{IDENTITY_YAML}' \"$identity\" > {IDENTITY_FILE} && {update}"


def check_cluster_identity(
    client: "MLClient", name: str, cluster: Any, identity: JobIdentity
) -> tuple[ComputePrincipals | None, CheckResult]:
    """The principals of nodes on a cluster: its only identity, the one with the client id, or the user."""
    checked, assigned = f"identity on compute {name!r}", assigned_identities(cluster)
    if identity.type == "user_identity":
        return _check_user(client, checked, cluster, assigned)
    if not hasattr(cluster, "identity"):
        fix = "see it in the studio, under Compute, and assign its roles"
        return None, unknown(checked, "identity_unknown", f"azure-ai-ml does not read it for {cluster.type}", fix)
    if not assigned.system and not assigned.user_assigned:
        message, fix = "the cluster has no managed identity", "add one, then assign its roles"
        options = f"--name {shlex.quote(name)} --identity-type SystemAssigned {workspace_options(client)}"
        return None, failed(checked, "no_identity", message, fix, f"az ml compute update {options}")
    if assigned.user_assigned or identity.client_id:
        return _chosen(checked, "the cluster", assigned.user_assigned, identity)
    principal = Principal(f"the identity of compute {name!r}", assigned.system)
    return ComputePrincipals(principal, principal), ok(checked, "its system-assigned identity")


def _check_user(
    client: "MLClient", checked: str, cluster: Any, assigned: AssignedIdentities
) -> tuple[ComputePrincipals | None, CheckResult]:
    """Only AmlCompute gives steps a token of the user. Source: AzureMLOnBehalfOfCredential in azure-ai-ml."""
    if str(cluster.type).casefold() != "amlcompute":
        message = f"steps get no token of the user on {cluster.type}: only AmlCompute clusters have it"
        return None, failed(checked, "user_not_on_cluster", message, "name an AmlCompute cluster")
    user = signed_in_user(client)
    if user.type != "User":
        message = f"a job runs on behalf of a user only, and {user.name or 'the login'} is a service principal"
        return None, failed(checked, "user_is_service_principal", message, "remove compute.identity")
    return ComputePrincipals(user.principal, _default_principal(cluster.name, assigned)), ok(checked, f"you, {user}")


def _default_principal(name: str, assigned: AssignedIdentities) -> Principal | None:
    if assigned.system:
        return Principal(f"the identity of compute {name!r}", assigned.system)
    return assigned.user_assigned[0].principal if len(assigned.user_assigned) == 1 else None


def _chosen(
    checked: str, owner: str, user_assigned: Sequence[UserAssignedIdentity], identity: JobIdentity
) -> tuple[ComputePrincipals | None, CheckResult]:
    """The identity with the client id of the job, or the only one.

    Which of several Azure ML takes is documented for clusters only (the first), and the order in which they are
    returned is not: roles could not be assigned to the right one.
    """
    client_id = (identity.client_id or "").casefold()
    matching = [user for user in user_assigned if client_id in ("", user.client_id.casefold())]
    if len(matching) == 1:
        principal = matching[0].principal
        return ComputePrincipals(principal, principal), ok(checked, f"user-assigned {principal.name}")
    choices = ", ".join(f"{user.client_id} ({user.name})" for user in user_assigned[:LISTED])
    if matching:
        message = f"{owner} has {len(user_assigned)} user-assigned identities, and the job names none of them"
        return None, failed(checked, "ambiguous_identity", message, f"set compute.identity.client_id: {choices}")
    message = f"client id {identity.client_id} is of no user-assigned identity of {owner}"
    fix = f"set one of {choices}" if choices else "remove compute.identity.client_id, or add the identity"
    return None, failed(checked, "unknown_client_id", message, fix)
