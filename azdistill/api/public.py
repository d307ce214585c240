"""The public names of the package, imported on first use."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any


def _declared(stub: Path) -> dict[str, str]:
    """Names that a type stub re-exports (`from module import name as name`), with their modules."""
    imports = [node for node in ast.parse(stub.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


# Public name -> the module that defines it.
NAMES = _declared(Path(__file__).parents[1] / "__init__.pyi")


def resolve(name: str) -> Any:
    """Import a public name from the module that defines it. Raises AttributeError for any other name."""
    if name not in NAMES:
        raise AttributeError(f"module 'azdistill' has no attribute {name!r}; public names: {', '.join(sorted(NAMES))}")
    return getattr(import_module(NAMES[name]), name)
