"""Check VM sizes against what the steps need, and against the sizes and the quota of the workspace's region."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.nodes import ComputeNode
from azdistill.azure.checks.result import CheckResult, failed, ok, unknown
from azdistill.azure.roles import workspace_options
from azdistill.engine.pipeline.vm_sizes import vm_size
from azdistill.job.components import STEPS, step_of
from azdistill.job.memory import Training, prediction_gb, vm_for_prediction
from azdistill.job.training_settings import what_would_fit

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Azure ML's name for the quota that all VM families share for spot instances.
LOW_PRIORITY = "TotalLowPriorityCores"


@dataclass(frozen=True)
class Quota:
    """Quota of a VM family in cores."""

    name: str
    limit: int
    used: int


@dataclass(frozen=True)
class Region:
    """VM sizes of a region, and quotas of VM families, both by lower-case name."""

    name: str
    sizes: Mapping[str, Any]
    quotas: Mapping[str, Quota]


def read_region(client: "MLClient", name: str) -> Region:
    """Raises what the SDK raises."""
    sizes = {size.name.casefold(): size for size in client.compute.list_sizes(location=name)}
    return Region(name, sizes, _quotas(client.compute.list_usage(location=name)))


def check_serverless(
    client: "MLClient", region: Region, nodes: Sequence[ComputeNode], training: Training | None
) -> Iterator[CheckResult]:
    """Results for nodes of one VM size and tier on serverless compute. `training` is that of step train."""
    name, spot, count = str(nodes[0].vm_size), nodes[0].spot, max(node.instances for node in nodes)
    checked = f"serverless {name}{' (spot)' if spot else ''}"
    size = region.sizes.get(name.casefold())
    if size is None:
        fix = "set compute.*_instance_type to a size of this list"
        message = f"{region.name} has no such VM size"
        yield failed(checked, "no_such_vm_size", message, fix, list_sizes(client, region))
        return
    if spot and not _available_as_spot(size):
        fix = "leave the tier out, or choose another size"
        yield failed(checked, "no_spot_instances", f"{region.name} does not offer this size as spot", fix)
        return
    yield _check_quota(client, region, checked, size, count, spot)
    yield from _check_gpus(checked, size, nodes, training)


def check_size_of_cluster(
    client: "MLClient",
    region: Region,
    checked: str,
    cluster: Any,
    nodes: Sequence[ComputeNode],
    training: Training | None,
) -> Iterator[CheckResult]:
    """Problems of a cluster's VM size. Cores in use are not compared: some may be those of the cluster's own nodes."""
    size = region.sizes.get(str(cluster.size).casefold())
    if size is None:
        message = f"{region.name} does not list its VM size {cluster.size}, which may be retired"
        fix = "if its nodes do not start, create a cluster of a size of this list"
        yield unknown(checked, "unknown_vm_size", message, fix, list_sizes(client, region))
        return
    spot = str(getattr(cluster, "tier", "")).casefold() in ("low_priority", "lowpriority")
    quota = _check_quota(client, region, checked, size, max(node.instances for node in nodes), spot)
    if quota.status == "problem":
        yield quota
    yield from _check_gpus(checked, size, nodes, training)
    yield from _idle_gpus(checked, size, nodes)


def _check_quota(client: "MLClient", region: Region, checked: str, size: Any, count: int, spot: bool) -> CheckResult:
    """A limit below the need ends the job. A job whose cores are in use waits in the queue.

    Source: "Quota" in https://learn.microsoft.com/azure/machine-learning/how-to-use-serverless-compute
    """
    family, needed = LOW_PRIORITY if spot else str(size.family), cores(size) * count
    quota = region.quotas.get(family.lower())
    if quota is None:
        return unknown(checked, "quota_unknown", f"{region.name} reports no quota for {family}")
    remaining = quota.limit - quota.used
    need = f"{needed} cores needed ({count} of this size)"
    detail = f"{need}, {remaining} of {quota.limit} cores of {family} left in {region.name}"
    command = f"az ml compute list-usage --location {region.name} {workspace_options(client)}"
    if quota.limit < needed:
        fix = "request quota, or set another size in compute.*_instance_type"
        message = f"{need}, and the limit of {family} in {region.name} is {quota.limit}"
        return failed(checked, "quota_exceeded", message, fix, command)
    if remaining < needed:
        return unknown(checked, "quota_in_use", detail, "the job waits in the queue until they are free", command)
    return ok(checked, detail)


def _check_gpus(
    checked: str, size: Any, nodes: Sequence[ComputeNode], training: Training | None
) -> Iterator[CheckResult]:
    """Steps that need a GPU on a VM without one, more processes than GPUs, and a student that is too large."""
    gpus = int(size.gpus or 0)
    for node in (node for node in nodes if _needs_gpu(node)):
        if gpus < node.processes:
            need = "a GPU" if node.processes == 1 else f"{node.processes} GPUs, one for each process"
            message = f"step {node.name} needs {need}, and {size.name} has {gpus or 'none'}"
            yield failed(checked, "too_few_gpus", message, "choose another VM size")
            return
    if any(node.step == "train" for node in nodes):
        yield from _check_memory(checked, str(size.name), training)
    if any(node.step == "predict" for node in nodes):
        yield from _check_prediction_memory(checked, str(size.name), training)


def _idle_gpus(checked: str, size: Any, nodes: Sequence[ComputeNode]) -> Iterator[CheckResult]:
    """GPUs of a cluster's nodes that step train leaves idle: the job does not know the VM size of a cluster."""
    gpus = int(size.gpus or 0)
    for node in nodes:
        if node.step == "train" and node.processes < gpus:
            message = f"step train uses {node.processes} of the {gpus} GPUs of {size.name}"
            fix = f"set compute.train_processes to {gpus}, or name a cluster whose nodes have one GPU"
            yield unknown(checked, "idle_gpus", message, fix)


def _needs_gpu(node: ComputeNode) -> bool:
    return node.step in STEPS and step_of(node.step).needs_gpu


def _check_memory(checked: str, size: str, training: Training | None) -> Iterator[CheckResult]:
    """Unknown, not a problem: the need is an estimate, for rows that are as long as the job allows."""
    training = replace(training, gpu=vm_size(size)) if training else None
    memory = training.memory() if training else None
    if training and memory and training.gpu and not training.fits():
        batch = f"{training.rows} rows of {training.config.max_length:,} tokens"
        message = (
            f"training needs about {memory.total_gb:.0f} GB on each GPU for {batch}, and a GPU of {size} has "
            f"{training.gpu.gpu_memory_gb} GB"
        )
        yield unknown(checked, "gpu_memory", message, ", or ".join(what_would_fit(training)) or "use a smaller student")


def _check_prediction_memory(checked: str, size: str, training: Training | None) -> Iterator[CheckResult]:
    """A student whose weights do not fit the GPU of the steps predict, which load them unquantized."""
    gpu = vm_size(size)
    needed = prediction_gb(training.student, gpu) if training and gpu else None
    if training and gpu and needed and needed > gpu.gpu_memory_gb:
        message = (
            f"predict needs at least {needed:.0f} GB for the weights, and a GPU of {size} has {gpu.gpu_memory_gb} GB"
        )
        larger = vm_for_prediction(training.student)
        fix = f"run predict on {larger}" if larger else "use a smaller student"
        yield unknown(checked, "prediction_memory", message, fix)


def list_sizes(client: "MLClient", region: Region) -> str:
    """Command that lists the VM sizes of a region."""
    return f"az ml compute list-sizes --location {region.name} {workspace_options(client)}"


def cores(size: Any) -> int:
    """Cores of a VM size. The SDK leaves `v_cp_us` empty; the number is among the raw fields of its object."""
    return int(size.v_cp_us if size.v_cp_us is not None else vars(size)["vCPUs"])


def _available_as_spot(size: Any) -> bool:
    """The SDK leaves `low_priority_capable` empty, too."""
    return vars(size).get("lowPriorityCapable") is not False


def _quotas(usages: Iterable[Any]) -> dict[str, Quota]:
    """Quotas by lower-case name. A family without its own limit (spot) has the limit -1 and is left out: its name may
    also be the name of a family that has one."""
    return {quota.name.lower(): quota for quota in _read_usages(usages) if quota.limit >= 0}


def _read_usages(usages: Iterable[Any]) -> Iterator[Quota]:
    """The SDK leaves `current_value` empty, too."""
    for usage in usages:
        name = usage.name.get("value", "") if isinstance(usage.name, dict) else getattr(usage.name, "value", usage.name)
        used = usage.current_value if usage.current_value is not None else vars(usage).get("currentValue", 0)
        yield Quota(str(name), int(usage.limit), int(used or 0))
