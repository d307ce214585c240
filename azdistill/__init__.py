"""Distil large language models into small ones on Azure Machine Learning.

This file is part of every step's snapshot, so it stays as it is: the list of
public names lives in `azdistill.api.public`, which snapshots don't carry.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    from importlib import import_module

    return import_module("azdistill.api.public").resolve(name)
