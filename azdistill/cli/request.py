"""What a command line asks `azdistill run` for."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.cli.paths import PIPELINE, pipeline_file, read_job
from azdistill.contracts.errors import InputError
from azdistill.engine.local.data import parse_copy, read_copies
from azdistill.engine.local.options import Faults, RunOptions
from azdistill.local_runs.request import INPUTS, Request

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

FOLDER_NAMED = (PIPELINE, "component.yml")
"""Files that are all called the same, so that their folder tells them apart."""

LATEST_PREEMPTION_S = 10.0


def read_request(path: Path, output: Path | None, options: RunOptions, dry: bool = False) -> Request:
    """Raises InputError for what can't be understood, SpecError for a wrong job."""
    what = pipeline_file(path) or read_job(path)
    if dry and isinstance(what, Path):
        raise InputError(f"--dry-run {str(path)!r}: it replaces what a job names; give the job file")
    name = f"{_name(what)}{'-dry-run' if dry else ''}"
    return Request(path, what, output or Path("runs", name), options, dry)


def copies_of(texts: Sequence[str]) -> dict[str, Path]:
    """Local copies by name: of `NAME=PATH`, and of YAML files of such names. Raises InputError for what is neither, or
    isn't there."""
    found: dict[str, Path] = {}
    for text in texts:
        is_file = text.endswith((".yml", ".yaml")) and "=" not in text
        found |= read_copies(Path(text)) if is_file else [parse_copy(text)]
    return found


def interpreters_of(texts: Sequence[str]) -> dict[str, Path]:
    """Interpreters by the name of an environment. Raises InputError for what is no `NAME=PYTHON`."""
    return dict(map(_interpreter, texts))


def _interpreter(text: str) -> tuple[str, Path]:
    name, _, path = text.partition("=")
    if not (name and path):
        raise InputError(f"--env {text!r}: expected NAME=PYTHON, NAME being an environment's")
    return name, Path(path).expanduser()


def faults_of(preempted: Sequence[str], duplicates: float) -> Faults:
    """Raises InputError for what is no `NODE` or `NODE=SECONDS`."""
    return Faults(dict(map(_moment, preempted)), duplicates)


def _moment(text: str) -> tuple[str, float]:
    """A node, and the seconds after which it is preempted: at random where they are left open."""
    node, equals, seconds = text.partition("=")
    try:
        return node, float(seconds) if equals else random.uniform(0, LATEST_PREEMPTION_S)
    except ValueError:
        raise InputError(f"--preempt {text!r}: expected NODE or NODE=SECONDS") from None


def settings_of(settings: Sequence[str]) -> dict[str, str]:
    """Values by the name of the input. Raises InputError for what is no `inputs.NAME=VALUE`."""
    return dict(map(_setting, settings))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.removeprefix(INPUTS).partition("=")
    if not (text.startswith(INPUTS) and name and equals):
        raise InputError(f"--set {text!r}: expected inputs.NAME=VALUE; only pipeline inputs can be set")
    return name, value


def _name(what: "DistillationJob | Path") -> str:
    """Of the job; of a file, its stem, or its folder's name where every pipeline file has the same."""
    if not isinstance(what, Path):
        return what.name
    return what.resolve().parent.name if what.name in FOLDER_NAMED else what.stem
