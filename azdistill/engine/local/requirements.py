"""Python packages of an environment definition, as far as pip can install them."""

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
from azdistill.engine.yaml_document import AZURE_YAML, read_document

REQUIREMENTS_FILE = "requirements.txt"

_INCLUDE = re.compile(r"(-r|-c|--requirement|--constraint)[\s=]+(.+)")
_PROVIDED = re.compile(r"pip\b.*|python")
_PYTHON = re.compile(r"python\s*={1,2}\s*([\d.]+?)(?:\.\*)?")


@dataclass(frozen=True)
class Requirements:
    """Lines of a requirements file, the folder that their paths are relative to, and the packages that only conda can
    install."""

    lines: tuple[str, ...]
    folder: Path
    conda_only: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of the lines, of the files that they include, and of this Python's version. Raises PipelineError for an
        included file that does not exist."""
        included = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._included()]
        parts = [sys.base_prefix, sys.version, self.lines, included]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        """A requirements file with absolute paths."""
        return "".join(f"{_INCLUDE.sub(self._absolute, line)}\n" for line in self.lines)

    def _absolute(self, match: re.Match[str]) -> str:
        return f"{match[1]} {(self.folder / match[2].strip()).absolute()}"

    def _included(self) -> Iterator[Path]:
        for match in filter(None, map(_INCLUDE.fullmatch, self.lines)):
            path = self.folder / match[2].strip()
            if not path.is_file():
                fix = f"create it, or remove {match[0]!r} from the environment"
                raise PipelineError("no such file", file=path, fix=fix)
            yield path


def read_requirements(environment: Environment, folder: Path) -> Requirements | None:
    """The requirements of a conda file or a build context. None when the definition lists no packages.

    `folder` is the one that paths of an inline definition are relative to. Raises PipelineError for a conda file that
    cannot be read.
    """
    if isinstance(environment.conda, Path):
        raw = read_document(environment.conda, PipelineError, "conda file", AZURE_YAML).value
        return _from_conda(raw, environment.conda.parent)
    if environment.conda is not None:
        return _from_conda(environment.conda, folder)
    if environment.build and (environment.build / REQUIREMENTS_FILE).is_file():
        return Requirements((f"-r {REQUIREMENTS_FILE}",), environment.build)
    return None


def _from_conda(raw: Mapping[str, Any], folder: Path) -> Requirements:
    dependencies = raw.get("dependencies")
    packages = dependencies if isinstance(dependencies, list) else []
    pip = [lines for entry in packages if isinstance(entry, Mapping) and isinstance(lines := entry.get("pip"), list)]
    conda_only = tuple(entry for entry in packages if isinstance(entry, str) and not _is_provided(entry))
    return Requirements(tuple(str(line).strip() for lines in pip for line in lines), folder, conda_only)


def _is_provided(package: str) -> bool:
    """True if every virtual environment has the package: pip itself, and this version of Python."""
    pinned = _PYTHON.fullmatch(package)
    if pinned:
        return f"{platform.python_version()}.".startswith(f"{pinned[1]}.")
    return bool(_PROVIDED.fullmatch(package))
