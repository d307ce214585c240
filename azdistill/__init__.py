"""Distil large language models into small ones on Azure Machine Learning.

The public names are declared in `__init__.pyi` and imported on first use by `azdistill.api.public`. The code snapshot
of every step has this file, and every module that it would import: so it has no import statement of azdistill.
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
