"""The GPUs that a step must be able to use, and the NVIDIA driver that CUDA needs."""

# Number of GPUs that each instance of the node must have. Compiled from the VM size, absent where none is needed.
# A local run of the same bundle has it too, and does not require them.
REQUIRED_GPUS = "AZDISTILL_REQUIRED_GPUS"

# Minimum driver of each CUDA release family.
# Source: https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html
_MINIMUM_DRIVER = {11: 450, 12: 525, 13: 580}


def minimum_driver(cuda: str) -> int:
    """Branch of the oldest NVIDIA driver that runs this CUDA version ("12.8"), 0 where it is not known."""
    return _MINIMUM_DRIVER.get(int(cuda.partition(".")[0]), 0)
