"""Problems of a job's compute section that need several fields or facts about VM sizes."""

import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from azdistill.contracts.problems import Problem, may_be_secret, suggest
from azdistill.engine.pipeline.vm_sizes import check_name, vm_size
from azdistill.job.partial_model import run_checks
from azdistill.job.run_settings import MAX_SPOT_TIMEOUT_S, SERVERLESS, TIMEOUTS_S

if TYPE_CHECKING:
    from azdistill.job.sections import ComputeSection

# VM sizes by the field of the compute target that they belong to.
SIZES = {"cpu_instance_type": "cpu", "gpu_instance_type": "gpu", "predict_instance_type": "gpu"}

# Variables that Azure ML, the launcher of processes or the bundle sets itself.
_RESERVED = re.compile(
    r"AZUREML_(RUN|ARM|ROOT_RUN|EXPERIMENT|WORKSPACE)\w*|AZDISTILL_\w*|MLFLOW_(RUN_ID|TRACKING_URI)"
    r"|(LOCAL_|NODE_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_(ADDR|PORT)"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compute_problems(compute: "ComputeSection") -> Iterator[Problem]:
    """The errors that need several fields of a section. Its invalid fields are reported elsewhere."""
    sizes = [partial(_misspelt_size, field=field, target=target) for field, target in SIZES.items()]
    yield from run_checks((*sizes, _processes, _spot, _timeouts, _variables), compute)


def _error(code: str, field: tuple[str, ...], value: Any, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, fix=fix, field=("compute", *field), value=value)


def _misspelt_size(compute: "ComputeSection", field: str, target: str) -> Iterator[Problem]:
    """Serverless compute needs a VM size that exists. A name that is only unknown is no error here."""
    name = getattr(compute, field) if getattr(compute, target) == SERVERLESS else None
    problem = check_name(name) if name else None
    if problem and problem.severity == "error":
        yield _error(problem.code, (field,), name, problem.message, problem.fix)


def _processes(compute: "ComputeSection") -> Iterator[Problem]:
    """Two training processes must not share a GPU."""
    size = vm_size(compute.gpu_instance_type) if compute.gpu == SERVERLESS else None
    if size and compute.train_processes and compute.train_processes > size.gpus:
        has = f"{compute.gpu_instance_type} has {size.gpus} GPU{'s' if size.gpus > 1 else ''}"
        message, fix = f"must be at most {size.gpus}: {has}", "lower it or use a larger VM"
        yield _error("out_of_range", ("train_processes",), compute.train_processes, message, fix)


def _spot(compute: "ComputeSection") -> Iterator[Problem]:
    """Only serverless compute accepts a tier for a job. A spot node runs for at most a week."""
    for step in dict.fromkeys(compute.spot):
        target = "gpu" if step == "train" else "cpu"
        if getattr(compute, target) != SERVERLESS:
            message = f"{step} runs on cluster {getattr(compute, target)!r}, which has a fixed tier"
            fix = f"remove {step}, and create the cluster with --tier low_priority"
            yield _error("incompatible_fields", ("spot",), step, message, fix)
        if compute.timeout.get(step, 0) > MAX_SPOT_TIMEOUT_S:
            message = f"must be at most {MAX_SPOT_TIMEOUT_S} for a step on spot VMs: Azure ML ends it after 7 days"
            yield _error("out_of_range", ("timeout", step), compute.timeout[step], message, "lower it")


def _timeouts(compute: "ComputeSection") -> Iterator[Problem]:
    for step, seconds in compute.timeout.items():
        if step not in TIMEOUTS_S:
            yield _error("unknown_step", ("timeout", step), seconds, "no step has this name", suggest(step, TIMEOUTS_S))


def _variables(compute: "ComputeSection") -> Iterator[Problem]:
    """A variable is written into the bundle, so its value must not be a secret."""
    for name, value in compute.environment_variables.items():
        field = ("environment_variables", name)
        if not _VARIABLE.fullmatch(name):
            yield _error("invalid_name", field, value, "names have letters, digits and '_'", "rename it")
        elif _RESERVED.fullmatch(name):
            yield _error("reserved_name", field, value, "is set for each process of a step", "remove it")
        elif may_be_secret(name, value):
            fix = "put a teacher's key into a workspace connection, and name it in teacher.teachers"
            yield _error("secret", field, None, "looks like a secret, and the bundle is readable text", fix)
