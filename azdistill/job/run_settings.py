"""Run settings of the nodes on Azure ML: compute, resources, distribution, tier, time limit, environment variables."""

from typing import TYPE_CHECKING, Any

from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.step import Step
from azdistill.engine.pipeline.vm_sizes import gpu_count, vm_size
from azdistill.job.components import step_of

if TYPE_CHECKING:
    from azdistill.job.sections import ComputeSection

SERVERLESS = "serverless"

# Lifetime of a job, in seconds: 21 days, and 7 on a spot node.
# Source: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
MAX_TIMEOUT_S, MAX_SPOT_TIMEOUT_S = 1_814_400, 604_800

# Time limits in seconds. They bound the cost of a step that hangs, and are far above the usual duration. A step that
# reached its limit continues in the next run: answers are in the response store, and train resumes from a checkpoint.
TIMEOUTS_S = {
    "prepare": 21_600,
    "regression": 21_600,
    "augment": 86_400,
    "teacher": 604_800,
    "judge_answers": 86_400,
    "curate": 21_600,
    "train": 86_400,
    "predict": 21_600,
    "judge": 86_400,
    "evaluate": 21_600,
    "report": 21_600,
    "register": 21_600,
}


def run_settings(step: Step[Any], compute: "ComputeSection") -> dict[str, Any]:
    """The run settings of a node. Settings with Azure ML's default are left out."""
    cluster = cluster_of(step, compute)
    instances, processes = instance_count(step, compute), process_count(step, compute)
    distribution = {"type": "pytorch", "process_count_per_instance": processes}
    settings = {
        "compute": compute_address(cluster),
        "resources": _resources(step, compute, instances),
        "distribution": distribution if instances * processes > 1 else {},
        "queue_settings": {"job_tier": "spot"} if step.name in compute.spot else {},
        "limits": {"timeout": timeout(step.name, compute)},
        "environment_variables": _variables(step, compute),
    }
    return {name: value for name, value in settings.items() if value}


def cluster_of(step: Step[Any], compute: "ComputeSection") -> str:
    """The cluster of a step, or serverless."""
    return compute.gpu if step.needs_gpu else compute.cpu


def vm_size_of(step: Step[Any], compute: "ComputeSection") -> str:
    """The VM size of a step on serverless compute."""
    if not step.needs_gpu:
        return compute.cpu_instance_type
    predict = compute.predict_instance_type if step.name == "predict" else None
    return predict or compute.gpu_instance_type


def instance_count(step: Step[Any], compute: "ComputeSection") -> int:
    """The number of nodes of a step."""
    return {"teacher": compute.teacher_instances, "train": compute.train_instances}.get(step.name, 1)


def process_count(step: Step[Any], compute: "ComputeSection") -> int:
    """The number of processes of a step on each node: for train, one for each GPU of a known VM size."""
    if step.name != "train":
        return 1
    size = vm_size(compute.gpu_instance_type) if compute.gpu == SERVERLESS else None
    return compute.train_processes or (size.gpus if size else 1)


def train_processes(compute: "ComputeSection") -> int:
    """The number of processes that train together, on all nodes of step train."""
    return process_count(step_of("train"), compute) * compute.train_instances


def timeout(step: str, compute: "ComputeSection") -> int:
    """The time limit of a step, in seconds."""
    return compute.timeout.get(step, TIMEOUTS_S[step])


def compute_address(cluster: str) -> str:
    """The address of a compute target in a pipeline file."""
    return cluster if cluster == SERVERLESS else f"azureml:{cluster}"


def _resources(step: Step[Any], compute: "ComputeSection", instances: int) -> dict[str, Any]:
    """Resources of a node. Only serverless compute needs a VM size."""
    is_serverless = cluster_of(step, compute) == SERVERLESS
    shm_size = compute.shm_size if step.needs_gpu else None
    return {
        **({"instance_count": instances} if instances > 1 else {}),
        **({"instance_type": vm_size_of(step, compute)} if is_serverless else {}),
        **({"shm_size": shm_size} if shm_size else {}),
    }


def required_gpus(step: Step[Any], compute: "ComputeSection") -> int:
    """The number of GPUs that each instance of a node must have, so that no step trains on the CPU of a GPU machine.

    At most one on a cluster, whose VM size is not known here.
    """
    gpus = gpu_count(vm_size_of(step, compute)) if step.needs_gpu else 0
    return gpus if compute.gpu == SERVERLESS else min(gpus, 1)


def _variables(step: Step[Any], compute: "ComputeSection") -> dict[str, str]:
    """Environment variables of a node: those of the job, and the number of GPUs that each instance must have."""
    required = required_gpus(step, compute)
    return {
        **dict(sorted(compute.environment_variables.items())),
        **({REQUIRED_GPUS: str(required)} if required else {}),
    }
