"""Memory and price of the VMs that serve a student, and warnings about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.contracts.problems import Problem
from azdistill.engine.pipeline.vm_sizes import check_name, gpu_count, vm_size

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# Fraction of a GPU's memory that vLLM uses: its default of --gpu-memory-utilization. What the weights leave of it holds
# the requests in progress.
USED_FRACTION = 0.9
BYTES_BFLOAT16 = 2


@dataclass(frozen=True)
class PlannedServing:
    """The VMs of an endpoint. Memory is in GB, of all GPUs of one VM, for weights in bfloat16.

    `hour_price` is that of `min_instances` VMs, which are rented without requests, too. `fits`: the weights leave
    memory for requests. None if unknown.
    """

    endpoint: str
    instance_type: str
    min_instances: int
    max_instances: int
    gpus: int
    hour_price: float | None
    weights_gb: float | None
    gpu_gb: int | None
    fits: bool | None


def planned_serving(job: "DistillationJob") -> PlannedServing | None:
    """The VMs of the job's deployment. None for a job without one."""
    deployment = job.deployment
    if deployment is None:
        return None
    facts, size = job.known.student(job.student.model), vm_size(deployment.instance_type)
    price, autoscale = job.prices.serving_hour, deployment.autoscale
    weights_gb = facts.parameters * BYTES_BFLOAT16 if facts and facts.parameters else None
    gpu_gb = size.gpus * size.gpu_memory_gb if size else None
    return PlannedServing(
        endpoint=deployment.endpoint_name,
        instance_type=deployment.instance_type,
        min_instances=deployment.min_instances,
        max_instances=autoscale.max_instances if autoscale else deployment.instance_count,
        gpus=gpu_count(deployment.instance_type),
        hour_price=None if price is None else price * deployment.min_instances,
        weights_gb=weights_gb,
        gpu_gb=gpu_gb,
        fits=None if weights_gb is None or gpu_gb is None else weights_gb < USED_FRACTION * gpu_gb,
    )


def serving_advice(job: "DistillationJob") -> Iterator[Problem]:
    """Warnings about a job's deployment: VM sizes that are unknown, retired or too small, and lengths."""
    deployment, serving = job.deployment, planned_serving(job)
    if deployment is None or serving is None:
        return
    name, size = deployment.instance_type, vm_size(deployment.instance_type)
    if problem := check_name(name):
        yield _warning(problem.code, "instance_type", name, problem.message, problem.fix)
    if size and not size.bfloat16:
        message = "its GPU does not compute in bfloat16, so vLLM does not start with a student saved in it"
        yield _warning("no_bfloat16", "instance_type", name, message, "choose a size with an A10, A100 or H100")
    if serving.fits is False:
        message = (
            f"the student needs {serving.weights_gb:,.0f} GB of GPU memory in bfloat16, and vLLM uses "
            f"{USED_FRACTION:.0%} of {serving.gpu_gb} GB"
        )
        yield _warning("exceeds_gpu_memory", "instance_type", name, message, "choose a larger VM size")
    facts, length = job.known.student(job.student.model), deployment.max_model_length
    if facts and facts.context and length and length > facts.context:
        message, fix = f"is longer than the context of {facts.name}", f"set at most {facts.context} tokens"
        yield _warning("exceeds_context", "max_model_length", length, message, fix)


def _warning(code: str, field: str, value: Any, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, fix=fix, field=("deployment", field), value=value, severity="warning")
