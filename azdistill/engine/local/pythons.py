"""Python interpreters: this one, and others, which are asked once."""

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from azdistill.engine.local import python_description

_TIMEOUT_S = 60


@dataclass(frozen=True)
class Python:
    """An interpreter with its `bin`, and its description by `python_description`."""

    binaries: Path
    executable: str
    version: str
    packages: str
    site_folders: tuple[str, ...]
    has_pip: bool
    mlflow: str | None
    mlflow_server: bool


@lru_cache
def describe_python(python: Path | None) -> Python:
    """An interpreter; None means that of this process. Raises OSError and subprocess.SubprocessError."""
    path = python or Path(sys.executable)
    facts = python_description.describe() if python is None else json.loads(_ask(path))
    return Python(binaries=path.parent, **facts | {"site_folders": tuple(facts["site_folders"])})


def _ask(python: Path) -> str:
    command = [str(python), python_description.__file__]
    return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True).stdout
