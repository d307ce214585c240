"""Names of Azure VM sizes, and their GPUs, as of November 2026.

Sources: the tables "Accelerators" of the pages of each GPU series below
https://learn.microsoft.com/azure/virtual-machines/sizes/gpu-accelerated/ (nca100v4-series, ncadsh100v5-series,
nccadsh100v5-series, ncast4v3-series, ncv3-series, nvadsa10v5-series, ndv2-series, ndasra100v4-series,
ndma100v4-series, ndh100v5-series, nd-h200-v5-series), where the memory is that of all GPUs of a VM, except on the page
of ND96amsr_A100_v4; and the series that Azure Machine Learning supports, of
https://learn.microsoft.com/azure/machine-learning/concept-compute-target. Azure has more sizes than these.
"""

import re
from difflib import get_close_matches
from typing import NamedTuple

from azdistill.engine.problems import MAX_NAME_LENGTH, Severity


class VmSize(NamedTuple):
    """GPUs of a VM, and the memory of one of them in GB. A fraction of a GPU counts as one.

    `bfloat16` is false for GPUs that only emulate this data type: T4 and V100, with a compute capability below 8.0.
    """

    gpus: int
    gpu_memory_gb: int
    bfloat16: bool = True


VM_SIZES = {
    "Standard_NC4as_T4_v3": VmSize(1, 16, bfloat16=False),
    "Standard_NC8as_T4_v3": VmSize(1, 16, bfloat16=False),
    "Standard_NC16as_T4_v3": VmSize(1, 16, bfloat16=False),
    "Standard_NC64as_T4_v3": VmSize(4, 16, bfloat16=False),
    "Standard_NC6s_v3": VmSize(1, 16, bfloat16=False),
    "Standard_NC12s_v3": VmSize(2, 16, bfloat16=False),
    "Standard_NC24s_v3": VmSize(4, 16, bfloat16=False),
    "Standard_NC24rs_v3": VmSize(4, 16, bfloat16=False),
    "Standard_NV6ads_A10_v5": VmSize(1, 4),
    "Standard_NV12ads_A10_v5": VmSize(1, 8),
    "Standard_NV18ads_A10_v5": VmSize(1, 12),
    "Standard_NV36ads_A10_v5": VmSize(1, 24),
    "Standard_NV36adms_A10_v5": VmSize(1, 24),
    "Standard_NV72ads_A10_v5": VmSize(2, 24),
    "Standard_NC24ads_A100_v4": VmSize(1, 80),
    "Standard_NC48ads_A100_v4": VmSize(2, 80),
    "Standard_NC96ads_A100_v4": VmSize(4, 80),
    "Standard_NC40ads_H100_v5": VmSize(1, 94),
    "Standard_NC80adis_H100_v5": VmSize(2, 94),
    "Standard_NCC40ads_H100_v5": VmSize(1, 94),
    "Standard_ND40rs_v2": VmSize(8, 32, bfloat16=False),
    "Standard_ND96asr_v4": VmSize(8, 40),
    "Standard_ND96amsr_A100_v4": VmSize(8, 80),
    "Standard_ND96isr_H100_v5": VmSize(8, 80),
    "Standard_ND96isr_H200_v5": VmSize(8, 141),
}

# Dates on which Azure retired sizes. Source: the note on the page ncv3-series.
RETIRED = dict.fromkeys(
    ("Standard_NC6s_v3", "Standard_NC12s_v3", "Standard_NC24s_v3", "Standard_NC24rs_v3"), "2025-09-30"
)

# VM sizes to recommend for training, in the order of the memory of one GPU: every GPU holds a complete model.
RECOMMENDED = (
    "Standard_NC4as_T4_v3",
    "Standard_NV36ads_A10_v5",
    "Standard_NC24ads_A100_v4",
    "Standard_NC40ads_H100_v5",
    "Standard_ND96isr_H200_v5",
)

# VM sizes to recommend for a training that is divided among the GPUs of one VM, in the order of their memory.
RECOMMENDED_FOR_SHARDS = (
    "Standard_NC48ads_A100_v4",
    "Standard_NC80adis_H100_v5",
    "Standard_NC96ads_A100_v4",
    "Standard_ND96isr_H100_v5",
    "Standard_ND96isr_H200_v5",
)

# Families of VM sizes with GPUs. Source: https://learn.microsoft.com/azure/virtual-machines/sizes/overview
_GPU_FAMILIES = ("standard_nc", "standard_nd", "standard_ng", "standard_nv")

# CPU series that Azure ML supports, with the numbers in the names of their sizes.
_CPU_SERIES = {
    "Standard_D{}_v2": (1, 2, 3, 4, 5, 11, 12, 13, 14, 15),
    "Standard_DS{}_v2": (1, 2, 3, 4, 5, 11, 12, 13, 14, 15),
    "Standard_D{}_v3": (2, 4, 8, 16, 32, 48, 64),
    "Standard_D{}s_v3": (2, 4, 8, 16, 32, 48, 64),
    "Standard_D{}ds_v4": (2, 4, 8, 16, 32, 48, 64),
    "Standard_E{}_v3": (2, 4, 8, 16, 20, 32, 48, 64),
    "Standard_E{}s_v3": (2, 4, 8, 16, 20, 32, 48, 64),
    "Standard_E{}ds_v4": (2, 4, 8, 16, 20, 32, 48, 64),
    "Standard_E{}a_v4": (2, 4, 8, 16, 20, 32, 48, 64, 96),
    "Standard_E{}as_v4": (2, 4, 8, 16, 20, 32, 48, 64, 96),
    "Standard_F{}s_v2": (2, 4, 8, 16, 32, 48, 64, 72),
}

_EXAMPLE = "Standard_NC24ads_A100_v4"
_BY_LOWER_NAME = {name.lower(): size for name, size in VM_SIZES.items()}
_NAMES = (*VM_SIZES, *(name.format(number) for name, numbers in _CPU_SERIES.items() for number in numbers))
_EXACT = {name.lower(): name for name in _NAMES}


class NameProblem(NamedTuple):
    """A VM size that does not exist, or that is not in these tables: code, severity, message and fix of a problem."""

    code: str
    severity: Severity
    message: str
    fix: str


def vm_size(name: str) -> VmSize | None:
    """The GPUs of a VM size, None for one without GPUs or that is not in the table. Case does not matter."""
    return _BY_LOWER_NAME.get(name.lower())


def gpu_count(name: str) -> int:
    """Number of GPUs of a VM size. A size that is not in the table has at least one if its family has GPUs."""
    size = vm_size(name)
    return size.gpus if size else int(name.lower().startswith(_GPU_FAMILIES))


def check_name(name: str) -> NameProblem | None:
    """The problem of a VM size by its name.

    An error where only separators, the prefix or the order of letters differ from a known size: no other size can be
    meant. A warning for any other unknown name, because Azure adds sizes.
    """
    if len(name) > MAX_NAME_LENGTH:
        return NameProblem("unknown_vm_size", "error", "is not a VM size of Azure", f"write a name such as {_EXAMPLE}")
    if exact := _EXACT.get(name.lower()):
        message = f"Azure retired this VM size on {RETIRED.get(exact)}"
        return NameProblem("retired_vm_size", "warning", message, "choose another") if exact in RETIRED else None
    misspelt = next((known for known in _NAMES if _signature(known) == _signature(name)), None)
    if misspelt or not name.lower().startswith("standard_"):
        fix = f"did you mean {misspelt}?" if misspelt else f"write a name such as {_EXAMPLE}"
        return NameProblem("unknown_vm_size", "error", "is not a VM size of Azure", fix)
    close = get_close_matches(name, _NAMES, 1, 0.85)
    fix = "doctor and submit look it up in the region of the workspace"
    message = "is not a known VM size" + (f", did you mean {close[0]}?" if close else "")
    return NameProblem("unknown_vm_size", "warning", message, fix)


def _signature(name: str) -> tuple[str, ...]:
    """A key that all misspellings of one name share: its groups of letters, each sorted, and its numbers."""
    text = re.sub(r"[^a-z0-9]", "", name.lower()).removeprefix("standard")
    return tuple("".join(sorted(group)) if group.isalpha() else group for group in re.findall(r"[a-z]+|\d+", text))
