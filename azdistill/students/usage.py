"""What a model takes: memory and size."""

import sys
from typing import Any

import psutil
import torch

if sys.platform != "win32":
    import resource


def peak_memory_bytes() -> int:
    """The most that this process had: on a GPU its allocations there, else its resident memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def parameters(model: Any) -> int:
    """Weights, each shared one counted once."""
    return sum(weight.numel() for weight in model.parameters())


def weight_bytes(model: Any) -> int:
    """Memory of the weights, each shared one counted once."""
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())
