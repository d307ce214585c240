"""What a command line asks `azdistill run` for."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.cli.paths import PIPELINE, pipeline_file, read_job
from azdistill.contracts.errors import InputError

if TYPE_CHECKING:
    from azdistill.spec.job import DistillationJob

HOME_VARIABLE = "AZDISTILL_HOME"
INPUTS = "inputs."


@dataclass(frozen=True)
class Request:
    """A job or a pipeline file, the folder to run it in, inputs to set, and the home of what runs share."""

    path: Path
    what: "DistillationJob | Path"
    folder: Path
    inputs: Mapping[str, str]
    home: Path

    @property
    def command(self) -> str:
        """The command line that asks for the same again."""
        settings = [part for name, value in self.inputs.items() for part in ("--set", f"{INPUTS}{name}={value}")]
        return shlex.join(["azdistill", "run", str(self.path), "-o", str(self.folder), *settings])


def read_request(path: Path, output: Path | None, settings: Sequence[str]) -> Request:
    """Raises InputError for what can't be understood, SpecError for a wrong job."""
    inputs = dict(map(_setting, settings))
    what = pipeline_file(path) or read_job(path)
    home = Path(os.environ.get(HOME_VARIABLE) or ".azdistill")
    return Request(path, what, output or Path("runs", _name(what)), inputs, home)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.removeprefix(INPUTS).partition("=")
    if not (text.startswith(INPUTS) and name and equals):
        raise InputError(f"--set {text!r}: expected inputs.NAME=VALUE; only pipeline inputs can be set")
    return name, value


def _name(what: "DistillationJob | Path") -> str:
    """Of the job; of a file, its stem, or its folder's name where every pipeline file has the same."""
    if not isinstance(what, Path):
        return what.name
    return what.resolve().parent.name if what.name == PIPELINE else what.stem
