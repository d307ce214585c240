"""Size and memory of a model."""

import sys
from typing import Any

import psutil
import torch

if sys.platform != "win32":
    import resource


def peak_memory_bytes() -> int:
    """Peak memory of this process: allocated GPU memory where there is a GPU, else resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
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
