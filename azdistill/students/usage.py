"""Size and memory of a model."""

import sys
from pathlib import Path
from typing import Any

import psutil
import torch

from azdistill.students.folders import ADAPTER_WEIGHTS, adapter_base, weight_files

if sys.platform != "win32":
    import resource


def peak_memory_bytes() -> int:
    """Peak memory of this process: allocated GPU memory where there is a GPU, else resident memory."""
    device = peak_device_bytes()
    return peak_process_bytes() if device is None else device


def peak_device_bytes() -> int | None:
    """Peak of the GPU memory that this process has allocated; None without a GPU."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def peak_process_bytes() -> int:
    """Peak of the resident memory of this process."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def num_parameters(model: Any) -> int:
    """Number of weights. Tied weights count once."""
    return sum(weight.numel() for weight in model.parameters())


def weight_bytes(model: Any) -> int:
    """Memory of the weights. Tied weights count once."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def weight_file_bytes(folder: Path | None) -> int | None:
    """Size of the safetensors files of a model; None for a model that was not loaded from files."""
    if folder is None:
        return None
    base = adapter_base(folder)
    files = [*weight_files(base), folder / ADAPTER_WEIGHTS] if base else weight_files(folder)
    return sum(path.stat().st_size for path in files)
