"""What Python packages an environment's definition asks for, as far as pip can install them."""

import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.model import Environment
from azdistill.engine.yaml_document import read_document

REQUIREMENTS = "requirements.txt"

_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[\s=]+(.+)")
_HERE_ANYWAY = re.compile(r"pip\b.*|python")
_PYTHON = re.compile(r"python\s*={1,2}\s*([\d.]+?)(?:\.\*)?")


@dataclass(frozen=True)
class Recipe:
    """Lines of a requirements file, the folder that their paths are relative to, and what only conda installs."""

    lines: tuple[str, ...]
    folder: Path
    conda_only: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Of the lines, the files that they include, and the Python that runs them."""
        included = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._included()]
        parts = [sys.base_prefix, sys.version, self.lines, included]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """As a file that may lie anywhere."""
        return "".join(f"{_INCLUDE.sub(self._absolute, line)}\n" for line in self.lines)

    def _absolute(self, found: re.Match[str]) -> str:
        return f"{found[1]} {(self.folder / found[2].strip()).absolute()}"

    def _included(self) -> Iterator[Path]:
        """Raises PipelineError for a file that isn't there."""
        for found in filter(None, map(_INCLUDE.fullmatch, self.lines)):
            path = self.folder / found[2].strip()
            if not path.is_file():
                raise PipelineError(f"{path}: no such file; an environment's {found[0]!r} names it")
            yield path


def recipe(environment: Environment, folder: Path) -> Recipe | None:
    """The recipe of a conda file or a build context, None where the definition names no packages. `folder` is what
    paths of a definition without a file are relative to. Raises PipelineError for a conda file that can't be read."""
    if isinstance(environment.conda, Path):
        raw = read_document(environment.conda, PipelineError, "conda file").value
        return _of_conda(raw, environment.conda.parent)
    if environment.conda is not None:
        return _of_conda(environment.conda, folder)
    if environment.build and (environment.build / REQUIREMENTS).is_file():
        return Recipe((f"-r {REQUIREMENTS}",), environment.build)
    return None


def _of_conda(raw: Mapping[str, Any], folder: Path) -> Recipe:
    given = raw.get("dependencies")
    packages = given if isinstance(given, list) else []
    pip = [lines for one in packages if isinstance(one, Mapping) and isinstance(lines := one.get("pip"), list)]
    conda_only = tuple(one for one in packages if isinstance(one, str) and not _is_here(one))
    return Recipe(tuple(str(line).strip() for lines in pip for line in lines), folder, conda_only)


def _is_here(package: str) -> bool:
    """pip itself, and a Python that is this one."""
    pinned = _PYTHON.fullmatch(package)
    if pinned:
        return f"{platform.python_version()}.".startswith(f"{pinned[1]}.")
    return bool(_HERE_ANYWAY.fullmatch(package))
