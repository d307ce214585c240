"""Distil large language models into small ones on Azure Machine Learning.

The public names are declared in `__init__.pyi` and imported on first use by `azdistill.api.public`. The code snapshot of
every step contains this file. So it has no import statement of another module, which every snapshot would then include.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name.startswith("__"):
        raise AttributeError(name)
    return import_module("azdistill.api.public").resolve(name)


def __dir__() -> list[str]:
    from importlib import import_module

    return sorted({*globals(), *import_module("azdistill.api.public").NAMES})
