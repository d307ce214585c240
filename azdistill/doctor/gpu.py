"""Check the GPUs of this machine as train and predict use them. torch is imported, if it is installed."""

import importlib
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from azdistill.azure.checks.result import CheckResult, failed, ok, unknown

GIB = 2**30

# Distribution, module, and what needs it.
OPTIONAL = (
    ("flash-attn", "flash_attn", "attention runs with torch's own kernels (sdpa)"),
    ("bitsandbytes", "bitsandbytes", "no QLoRA and no 8-bit optimizer"),
)
SHARED_MEMORY = Path("/dev/shm")

# Docker's default of 64 MB is too little: NCCL needs about 10 MB for each pair of GPUs, data loaders more.
# Source: https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
ENOUGH_SHARED_MEMORY = GIB


def check_gpu_use() -> Iterator[CheckResult]:
    """Results for driver, torch, each GPU, NCCL, optional packages and shared memory."""
    try:
        import torch
    except ImportError as error:
        message = f"cannot be imported ({error})"
        yield failed("torch", "not_installed", message, "install it", "pip install 'azdistill[train]'")
        return
    from azdistill.students.gpus import installed_driver

    driver = installed_driver()
    yield ok("driver", f"NVIDIA {driver}") if driver else unknown("driver", "no_driver", "no NVIDIA driver is loaded")
    yield ok("torch", f"{torch.__version__}, {_libraries()}")
    yield from _check_devices(driver)
    yield _check_nccl(torch.cuda.device_count())
    for name, module, without in OPTIONAL:
        yield check_optional(name, module, without)
    if SHARED_MEMORY.is_dir():
        yield check_shared_memory(shutil.disk_usage(SHARED_MEMORY).total)


def _libraries() -> str:
    import torch

    if torch.version.cuda is None:
        return "without CUDA"
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return f"CUDA {torch.version.cuda}, cuDNN {cudnn}"


def _check_devices(driver: str | None) -> Iterator[CheckResult]:
    """One result for each GPU, after a computation on it; a problem when there is none."""
    import torch

    from azdistill.students.gpus import fix, unusable_reason

    for index in range(max(torch.cuda.device_count(), 1)):
        checked = f"GPU {index}"
        if reason := unusable_reason(index):
            yield failed(checked, "gpu_unusable", reason, fix(driver, torch.version.cuda))
            continue
        properties = torch.cuda.get_device_properties(index)
        free, total = torch.cuda.mem_get_info(index)
        yield ok(checked, describe(properties.name, free, total, (properties.major, properties.minor)))


def describe(name: str, free: int, total: int, capability: tuple[int, int]) -> str:
    """The properties of a GPU that decide what fits and which data type is used."""
    from azdistill.students.gpus import BFLOAT16_CAPABILITY

    dtype = "bfloat16" if capability >= BFLOAT16_CAPABILITY else "no bfloat16, float32 is used"
    major, minor = capability
    return f"{name}, {total / GIB:.1f} GiB ({free / GIB:.1f} free), compute capability {major}.{minor}, {dtype}"


def _check_nccl(gpus: int) -> CheckResult:
    """NCCL connects the processes of a training on several GPUs."""
    import torch

    if torch.distributed.is_available() and torch.distributed.is_nccl_available() and torch.cuda.is_available():
        return ok("NCCL", ".".join(map(str, torch.cuda.nccl.version())))  # type: ignore[no-untyped-call]
    message = "torch cannot use it: a training runs on one GPU"
    fix = "install torch with CUDA (environments/README.md)"
    return failed("NCCL", "no_nccl", message, fix) if gpus > 1 else unknown("NCCL", "no_nccl", message, fix)


def check_optional(name: str, module: str, without: str) -> CheckResult:
    """Import a package that only some jobs need: one that is built for another torch fails here."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        return unknown(name, "not_installed", f"not installed: {without}", "install it if you need it")
    try:
        importlib.import_module(module)
    except Exception as error:  # of its native libraries, too
        message = (
            f"{installed} cannot be imported ({type(error).__name__}: {str(error).partition(chr(10))[0]}): {without}"
        )
        return unknown(name, "cannot_be_imported", message, "install the version for this torch and CUDA")
    return ok(name, installed)


def check_shared_memory(total: int) -> CheckResult:
    """The memory that processes share, which compute.shm_size sets."""
    checked, detail = f"shared memory {os.fspath(SHARED_MEMORY)}", f"{total / GIB:.1f} GiB"
    if total >= ENOUGH_SHARED_MEMORY:
        return ok(checked, detail)
    return unknown(checked, "little_shared_memory", f"{detail}, too little for several GPUs", "set compute.shm_size")
