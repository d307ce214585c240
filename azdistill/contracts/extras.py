"""Packages that `pip install azdistill` does not install, and the extra that installs each."""

from collections.abc import Iterable
from importlib.util import find_spec

from azdistill.contracts.errors import InputError

# Extra -> modules. numpy belongs to several extras, and `local` has all of them.
MODULES = {
    "azure": ("azure",),
    "data": ("ijson", "py3langid", "pyarrow"),
    "train": ("accelerate", "peft", "psutil", "safetensors", "tokenizers", "torch", "transformers"),
    "eval": ("math_verify", "rouge_score", "sacrebleu", "scipy"),
    "local": ("mlflow", "numpy"),
}
# Modules without which a node of the step fails.
NEEDED_BY_STEP = {
    "augment": ("numpy",),
    "train": ("torch", "transformers", "accelerate", "peft"),
    "predict": ("torch", "transformers"),
    "evaluate": ("numpy",),
    "register": ("mlflow",),
}


def missing_module(error: ModuleNotFoundError) -> InputError | None:
    """The error for a module that an extra installs. None for any other module, which is a bug."""
    name = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in MODULES.items() if name in modules), None)
    return _missing(name, extra) if extra else None


def check_steps(steps: Iterable[str], extra: str = "local") -> None:
    """Raise InputError if a module is missing that one of the steps needs. `extra` installs those of all steps."""
    for step in steps:
        for module in NEEDED_BY_STEP.get(step, ()):
            if find_spec(module) is None:
                raise _missing(module, extra, f"step {step}")


def _missing(module: str, extra: str, subject: str = "") -> InputError:
    return InputError(
        f"needs {module}, which is not installed" if subject else f"{module} is not installed",
        subject=subject,
        code="not_installed",
        fix="install it",
        command=f"pip install 'azdistill[{extra}]'",
    )
