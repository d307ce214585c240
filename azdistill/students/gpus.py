"""Stop a step at its start when the GPUs that the job rented cannot be used: it would run for days on the CPU."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.gpus import REQUIRED_GPUS, minimum_driver

# Written by the NVIDIA driver of the host; containers see it, too.
DRIVER_FILE = Path("/proc/driver/nvidia/version")

README = "environments/README.md"

# Compute capability of the first GPUs that compute in bfloat16. For older ones, such as the T4 (7.5), torch emulates it
# slowly, and `torch.cuda.is_bf16_supported` is true, too.
BFLOAT16_CAPABILITY = (8, 0)


def check_gpus(
    environ: Mapping[str, str], driver_file: Path = DRIVER_FILE, required_of_trial: int | None = None
) -> None:
    """Raise AzdistillError unless torch can compute on the GPUs that the pipeline requires of this node.

    Their number is in an environment variable, but for the trials of a sweep: Azure ML gives them none.
    """
    stated = required_of_trial or int(environ.get(REQUIRED_GPUS, "0"))
    required = stated if azure_ml_job(environ) else 0
    reason = _failure(required, int(environ.get("LOCAL_RANK", "0"))) if required else None
    if reason:
        driver, cuda = installed_driver(driver_file), torch.version.cuda
        build = f"torch {torch.__version__} {f'for CUDA {cuda}' if cuda else 'without CUDA'}"
        raise AzdistillError(
            f"{build} cannot use the GPU ({f'driver {driver}' if driver else 'no NVIDIA driver'}): {reason}",
            code="gpu_unusable",
            field=("required_gpus" if required_of_trial else REQUIRED_GPUS,),
            value=required,
            fix=fix(driver, cuda),
        )


def _failure(required: int, index: int) -> str | None:
    """The reason why torch cannot compute on this process's GPU, or has fewer GPUs than required. None if it can."""
    if reason := unusable_reason(index):
        return reason
    count = torch.cuda.device_count()
    return f"it has {count} of {required} GPUs" if count < required else None


def unusable_reason(index: int) -> str | None:
    """The reason why torch cannot compute on a GPU, None if it can."""
    try:
        torch.ones(1, device=f"cuda:{index}").add_(1).item()
    except (AssertionError, RuntimeError) as error:  # AssertionError: torch is built without CUDA
        return re.split(r"\.\s|\n|\.$", str(error))[0]
    return None


def has_bfloat16(device: torch.device) -> bool:
    """True if a GPU computes in bfloat16 without emulation."""
    return torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY


def require_bfloat16(device: torch.device) -> None:
    """Raise InputError when the job sets bfloat16 and the GPU would emulate it."""
    if device.type == "cuda" and not has_bfloat16(device):
        major, minor = torch.cuda.get_device_capability(device)
        raise InputError(
            f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}, and bfloat16 needs 8.0",
            code="no_bfloat16",
            field=("train", "precision"),
            value="bfloat16",
            fix="set it to auto, or choose a VM size with A10, A100 or H100",
        )


def installed_driver(driver_file: Path = DRIVER_FILE) -> str | None:
    """Version of the NVIDIA driver, None where none is loaded."""
    try:
        version = re.search(r"\s(\d{3,}(?:\.\d+)+)\s", driver_file.read_text())
    except OSError:
        return None
    return version[1] if version else None


def fix(driver: str | None, cuda: str | None) -> str:
    """The fix that makes torch for `cuda` use the GPU."""
    if cuda is None:
        return f"install torch with CUDA in the environment ({README})"
    if driver is None:
        return "choose a VM size with a GPU (compute.gpu_instance_type, or the cluster's)"
    needed = minimum_driver(cuda)
    if int(driver.partition(".")[0]) < needed:
        return f"CUDA {cuda} needs driver {needed} or newer: choose torch for an older CUDA ({README})"
    return f"choose another VM size, or another torch ({README})"
