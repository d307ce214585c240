"""The local runner: runs the nodes of any Azure ML pipeline as processes of this machine.

Other projects use `from azdistill.engine.local import run_pipeline`.
"""

from importlib import import_module
from typing import Any

_PUBLIC = {
    "Faults": "options",
    "NodeSelection": "selection",
    "RunOptions": "options",
    "RunResult": "results",
    "explain": "engine",
    "run_pipeline": "engine",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the modules that define them import this package."""
    if name not in _PUBLIC:
        public = ", ".join(sorted(_PUBLIC))
        raise AttributeError(f"module 'azdistill.engine.local' has no attribute {name!r}; public names: {public}")
    return getattr(import_module(f"azdistill.engine.local.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
