"""Check that this machine can train with the settings of a job, before anything is loaded."""

from importlib.util import find_spec

import torch

from azdistill.contracts.errors import InputError
from azdistill.contracts.train import FLASH_ATTENTION, CudaSetting, TrainConfig
from azdistill.training.trainer import precision


def check_requirements(config: TrainConfig) -> None:
    """Raise InputError for a setting that needs a GPU, a package or bfloat16, and this machine does not have it."""
    for setting in config.cuda_settings:
        if not torch.cuda.is_available():
            raise _error(setting, "needs_cuda", "needs a GPU with CUDA, and this machine has none")
        if find_spec(setting.package.replace("-", "_")) is None:
            message = f"needs the package {setting.package}, which is not installed"
            raise _error(setting, "missing_package", message, command=f"pip install {setting.package}")
        if setting.value == FLASH_ATTENTION and precision(config) != "bfloat16":
            raise _error(setting, "no_bfloat16", "computes in bfloat16 only, and this training computes in float32")


def _error(setting: CudaSetting, code: str, message: str, command: str = "") -> InputError:
    fix, field = f"set it to {setting.substitute}", ("train", setting.field)
    return InputError(message, code=code, field=field, value=setting.value, fix=fix, command=command)
