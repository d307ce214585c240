"""Settings of train that the GPUs of its VM size, or the packages of its environment, do not support."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from azdistill.contracts.problems import Problem
from azdistill.contracts.train import FLASH_ATTENTION
from azdistill.engine.pipeline.vm_sizes import gpu_count, vm_size
from azdistill.engine.problems import Severity
from azdistill.job.assets import asset
from azdistill.job.components import step_of
from azdistill.job.run_settings import SERVERLESS

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def gpu_setting_problems(job: "DistillationJob") -> Iterator[Problem]:
    """The errors for a VM size without a GPU, or with one that does not compute in bfloat16."""
    if job.compute.gpu != SERVERLESS:
        return
    name = job.compute.gpu_instance_type
    size = vm_size(name)
    for setting in job.train.cuda_settings:
        fix = f"choose another compute.gpu_instance_type, or set it to {setting.substitute}"
        if not gpu_count(name):
            yield _problem("needs_cuda", setting.field, setting.value, f"needs a GPU, and {name} has none", fix)
        elif size and not size.bfloat16 and setting.value == FLASH_ATTENTION:
            message = f"computes in bfloat16, which the GPU of {name} does not"
            yield _problem("no_bfloat16", setting.field, setting.value, message, fix)
    if size and not size.bfloat16 and job.train.precision == "bfloat16":
        message, fix = f"the GPU of {name} does not compute in bfloat16", "set it to auto"
        yield _problem("no_bfloat16", "precision", "bfloat16", message, fix)


def missing_packages(job: "DistillationJob") -> Iterator[Problem]:
    """Warnings about settings whose package is not in the environment of train on Azure ML."""
    environment = step_of("train").environment
    locked = (asset("environments") / environment / "conda.yml").read_text(encoding="utf-8")
    for setting in job.train.cuda_settings:
        if f" {setting.package}==" not in locked:
            message = (
                f"needs {setting.package}, which is not in environments/{environment}, so step train fails on Azure ML"
            )
            fix = f"add it to environments/{environment}.in, or set it to {setting.substitute}"
            yield _problem("missing_package", setting.field, setting.value, message, fix, "warning", "make lock")


def _problem(
    code: str, field: str, value: Any, message: str, fix: str, severity: Severity = "error", command: str = ""
) -> Problem:
    return Problem(
        code=code, message=message, fix=fix, field=("train", field), value=value, severity=severity, command=command
    )
