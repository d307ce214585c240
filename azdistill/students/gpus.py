"""Stop a step at its start when the GPUs that the job rented cannot be used: it would run for days on the CPU."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.gpus import AZURE_ML_RUN, REQUIRED_GPUS, minimum_driver

# Written by the NVIDIA driver of the host; containers see it, too.
DRIVER_FILE = Path("/proc/driver/nvidia/version")

README = "environments/README.md"


def check_gpus(environ: Mapping[str, str], driver_file: Path = DRIVER_FILE) -> None:
    """Raise AzdistillError unless torch can compute on the GPUs that the pipeline requires of this node."""
    required = int(environ.get(REQUIRED_GPUS, "0")) if AZURE_ML_RUN in environ else 0
    reason = _failure(required, int(environ.get("LOCAL_RANK", "0"))) if required else None
    if reason:
        driver, cuda = installed_driver(driver_file), torch.version.cuda
        build = f"torch {torch.__version__} {f'for CUDA {cuda}' if cuda else 'without CUDA'}"
        raise AzdistillError(
            f"{build} cannot use the GPU ({f'driver {driver}' if driver else 'no NVIDIA driver'}): {reason}",
            code="gpu_unusable",
            field=(REQUIRED_GPUS,),
            value=required,
            fix=fix(driver, cuda),
        )


def _failure(required: int, index: int) -> str | None:
    """The reason why torch cannot compute on this process's GPU, or has fewer GPUs than required. None if it can."""
    try:
        torch.ones(1, device=f"cuda:{index}").add_(1).item()
    except (AssertionError, RuntimeError) as error:  # AssertionError: torch is built without CUDA
        return re.split(r"\.\s|\n|\.$", str(error))[0]
    count = torch.cuda.device_count()
    return f"it has {count} of {required} GPUs" if count < required else None


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
