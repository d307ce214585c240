"""Distil large language models into small ones on Azure Machine Learning.

The public names are declared in `__init__.pyi` and imported on first use by `azdistill.api.public`. This file is part
of the code snapshot of every step, so it names no module that a snapshot would then have to include.
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
