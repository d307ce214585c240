"""GPUs of Azure VM sizes, as of November 2026. https://learn.microsoft.com/azure/virtual-machines/sizes/overview"""

from typing import NamedTuple


class VmSize(NamedTuple):
    """GPUs of a VM, and the memory of all of them in GB. A fraction of a GPU counts as one."""

    gpus: int
    gpu_memory_gb: int


VM_SIZES = {
    "Standard_NC4as_T4_v3": VmSize(1, 16),
    "Standard_NC8as_T4_v3": VmSize(1, 16),
    "Standard_NC16as_T4_v3": VmSize(1, 16),
    "Standard_NC64as_T4_v3": VmSize(4, 64),
    "Standard_NC6s_v3": VmSize(1, 16),
    "Standard_NC12s_v3": VmSize(2, 32),
    "Standard_NC24s_v3": VmSize(4, 64),
    "Standard_NC24rs_v3": VmSize(4, 64),
    "Standard_NV6ads_A10_v5": VmSize(1, 4),
    "Standard_NV12ads_A10_v5": VmSize(1, 8),
    "Standard_NV18ads_A10_v5": VmSize(1, 12),
    "Standard_NV36ads_A10_v5": VmSize(1, 24),
    "Standard_NV36adms_A10_v5": VmSize(1, 24),
    "Standard_NV72ads_A10_v5": VmSize(2, 48),
    "Standard_NC24ads_A100_v4": VmSize(1, 80),
    "Standard_NC48ads_A100_v4": VmSize(2, 160),
    "Standard_NC96ads_A100_v4": VmSize(4, 320),
    "Standard_NC40ads_H100_v5": VmSize(1, 94),
    "Standard_NC80adis_H100_v5": VmSize(2, 188),
    "Standard_ND40rs_v2": VmSize(8, 256),
    "Standard_ND96asr_v4": VmSize(8, 320),
    "Standard_ND96amsr_A100_v4": VmSize(8, 640),
    "Standard_ND96isr_H100_v5": VmSize(8, 640),
    "Standard_ND96isr_H200_v5": VmSize(8, 1128),
}

# VM sizes to recommend for training, in the order of their GPU memory.
RECOMMENDED = (
    "Standard_NC4as_T4_v3",
    "Standard_NV36ads_A10_v5",
    "Standard_NC24ads_A100_v4",
    "Standard_NC40ads_H100_v5",
    "Standard_NC48ads_A100_v4",
    "Standard_NC80adis_H100_v5",
    "Standard_NC96ads_A100_v4",
    "Standard_ND96isr_H100_v5",
)

# Families of VM sizes with GPUs. Source: https://learn.microsoft.com/azure/virtual-machines/sizes/overview
_GPU_FAMILIES = ("standard_nc", "standard_nd", "standard_ng", "standard_nv")

_BY_LOWER_NAME = {name.lower(): size for name, size in VM_SIZES.items()}


def vm_size(name: str) -> VmSize | None:
    """The GPUs of a VM size, None where it is not in the table. Case does not matter."""
    return _BY_LOWER_NAME.get(name.lower())


def gpu_count(name: str) -> int:
    """Number of GPUs of a VM size. A size that is not in the table has at least one if its family has GPUs."""
    size = vm_size(name)
    return size.gpus if size else int(name.lower().startswith(_GPU_FAMILIES))


def smallest_vm_size(gpu_memory_gb: float) -> str | None:
    """The smallest recommended VM size with so much GPU memory, None where no single VM has it."""
    sufficient = (name for name in RECOMMENDED if VM_SIZES[name].gpu_memory_gb >= gpu_memory_gb)
    return next(sufficient, None)
