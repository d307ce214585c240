"""Check the compute targets of a pipeline's nodes."""

import shlex
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.nodes import SERVERLESS, ComputeNode
from azdistill.azure.checks.result import CheckResult, failed, from_problem, look_up, ok, unknown
from azdistill.azure.checks.vm_sizes import Region, check_serverless, check_size_of_cluster, read_region
from azdistill.azure.errors import translate_errors
from azdistill.azure.nodes import text_of
from azdistill.azure.roles import workspace_options
from azdistill.contracts.errors import AzdistillError
from azdistill.job.memory import Training

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Types of computes in the SDK.
INSTANCE, SPARK = "computeinstance", "synapsespark"
KNOWN_TYPES = frozenset({"amlcompute", "kubernetes", "virtualmachine", INSTANCE, SPARK})

# By name: the SDK's object of a cluster, or the result with the reason why it cannot be read.
Clusters = Mapping[str, tuple[Any, CheckResult | None]]


def read_clusters(client: "MLClient", nodes: Sequence[ComputeNode]) -> Clusters:
    """The clusters of the nodes."""
    instances: dict[str, int] = {}
    for node in nodes:
        instances[node.compute] = max(instances.get(node.compute, 1), node.instances)
    return {name: _read_cluster(client, name, count) for name, count in instances.items() if name != SERVERLESS}


def _read_cluster(client: "MLClient", name: str, count: int) -> tuple[Any, CheckResult | None]:
    """A cluster, or the result with the command that creates it. Without an identity it could run no step."""
    options = f"--identity-type SystemAssigned --size VM_SIZE --min-instances 0 --max-instances {count}"
    command = f"az ml compute create --type AmlCompute --name {shlex.quote(name)} {options} {workspace_options(client)}"
    return look_up(f"compute {name!r}", lambda: client.compute.get(name), "create it", command)


def vm_sizes(nodes: Sequence[ComputeNode], clusters: Clusters) -> set[str]:
    """The VM sizes of the nodes, those of their clusters too."""
    sizes = [node.vm_size for node in nodes]
    return set(filter(None, (*sizes, *(getattr(cluster, "size", None) for cluster, _ in clusters.values()))))


def check_computes(
    client: "MLClient", nodes: Sequence[ComputeNode], clusters: Clusters, home: str, training: Training | None
) -> Iterator[CheckResult]:
    """Results for each cluster, and for each VM size and tier of serverless compute.

    `home` is the region of the workspace; a cluster may be in another one. `training` is that
    of step train, whose GPU memory is compared with the VM sizes.
    """
    regions: dict[str, Region | None] = {}
    for same in grouped(nodes, lambda node: (node.compute, node.vm_size, node.spot)):
        cluster, missing = clusters.get(same[0].compute, (None, None))
        if missing:
            yield missing
            continue
        name = _region_name(getattr(cluster, "location", None) or home)
        if name not in regions:
            regions[name], problem = _read_region(client, name)
            yield from (problem,) if problem else ()
        region = regions[name]
        if cluster:
            yield from _check_cluster(client, region, cluster, same, training)
        elif region:
            yield from check_serverless(client, region, same, training)


def _region_name(location: str) -> str:
    """The name of a region, for its display name, too (East US 2)."""
    return location.replace(" ", "").lower()


def _read_region(client: "MLClient", name: str) -> tuple[Region | None, CheckResult | None]:
    """VM sizes and quotas, or the result that says that Azure did not answer."""
    checked = f"VM sizes and quota of {name}"
    try:
        with translate_errors(checked):
            return read_region(client, name), None
    except AzdistillError as error:
        return None, from_problem(checked, error.problems[0], "unknown")


def grouped(nodes: Sequence[ComputeNode], key: Callable[[ComputeNode], Hashable]) -> Iterator[Sequence[ComputeNode]]:
    """Nodes with the same key, in the order of the first of each."""
    groups: dict[Hashable, list[ComputeNode]] = {}
    for node in nodes:
        groups.setdefault(key(node), []).append(node)
    yield from groups.values()


def _check_cluster(
    client: "MLClient", region: Region | None, cluster: Any, nodes: Sequence[ComputeNode], training: Training | None
) -> Iterator[CheckResult]:
    """One result for a compute that fits. Only clusters and compute instances have a VM size."""
    checked = f"compute {nodes[0].compute!r}"
    if cluster.provisioning_state != "Succeeded":
        message = f"its provisioning state is {cluster.provisioning_state}"
        yield failed(checked, "compute_not_ready", message, "see it in the studio, under Compute")
        return
    size, most = getattr(cluster, "size", None), _max_instances(cluster)
    problems = [
        *_check_type(client, checked, cluster),
        *(check_size_of_cluster(client, region, checked, cluster, nodes, training) if region and size else ()),
        *_check_instances(client, checked, cluster, nodes),
    ]
    facts = [str(size or cluster.type), *([f"at most {most}"] if most else [])]
    yield from problems or [ok(checked, ", ".join(facts))]


def _check_type(client: "MLClient", checked: str, cluster: Any) -> Iterator[CheckResult]:
    """Types of computes that run no steps, and a compute instance that does not run.

    Source: https://learn.microsoft.com/azure/machine-learning/concept-compute-target
    """
    kind = _kind(cluster)
    if kind == SPARK:
        fix = "name a cluster, or remove it for serverless compute"
        yield failed(checked, "no_command_jobs", "a Spark pool runs Spark jobs only", fix)
    elif kind not in KNOWN_TYPES:
        fix = "name a cluster where it does not"
        yield unknown(checked, "unknown_type", "azure-ai-ml cannot read it, so it may not run the steps of a job", fix)
    elif kind == INSTANCE and (state := text_of(cluster.state)) != "Running":
        command = f"az ml compute start --name {shlex.quote(cluster.name)} {workspace_options(client)}"
        message = f"the compute instance has the state {state}, and its steps wait until it runs"
        yield unknown(checked, "not_running", message, "start it", command)


def _check_instances(
    client: "MLClient", checked: str, cluster: Any, nodes: Sequence[ComputeNode]
) -> Iterator[CheckResult]:
    count, most = max(node.instances for node in nodes), _max_instances(cluster)
    if most is None or count <= most:
        return
    message = f"{count} instances needed, and it has at most {most}"
    if _kind(cluster) == INSTANCE:
        yield failed(checked, "too_few_instances", f"{message}: it is a compute instance", "name a cluster")
        return
    options = f"--name {shlex.quote(cluster.name)} --max-instances {count} {workspace_options(client)}"
    yield failed(checked, "too_few_instances", message, "raise it", f"az ml compute update {options}")


def _max_instances(cluster: Any) -> int | None:
    """The number of nodes that a compute has at most, None where that is not known."""
    return 1 if _kind(cluster) == INSTANCE else getattr(cluster, "max_instances", None)


def _kind(cluster: Any) -> str:
    return str(cluster.type).casefold()
