"""Remove what lies in run folders: all of it or the checkpoints, once a person agrees."""

import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import typer

from azdistill.contracts.errors import InputError
from azdistill.engine.local.guards import locked
from azdistill.local_runs.run_folder import RunFolder

CHECKPOINTS = "*/checkpoints/*"
"""Of a run folder; what lies in such an output, not the output itself, which the node expects to find."""


@dataclass(frozen=True)
class Unwanted:
    """What is to go from a run, with its size in bytes."""

    run: Path
    paths: tuple[Path, ...]
    size: int

    def __str__(self) -> str:
        what = "" if self.paths == (self.run,) else "the checkpoints of "
        return f"{what}{self.run} ({self.size / 1e6:,.1f} MB)"


def unwanted(run: RunFolder, *, checkpoints: bool) -> Unwanted:
    """Raises InputError for a run under way."""
    if run.in_use:
        raise InputError(f"run folder {str(run.path)!r} is in use by a run; end it first, or leave it out")
    paths = tuple(sorted(run.path.glob(CHECKPOINTS))) if checkpoints else (run.path,)
    return Unwanted(run.path, paths, sum(_size(path) for path in paths))


def ask(found: Iterable[Unwanted]) -> None:
    """Ends the command when the answer is no. Raises InputError where nobody can answer."""
    if not sys.stdin.isatty():
        raise InputError("nobody can be asked whether to remove that; say --yes")
    print(*found, sep="\n")
    typer.confirm("remove?", abort=True)


def remove(one: Unwanted) -> None:
    """Raises InputError for a run that has started since."""
    with locked(one.run):
        for path in one.paths:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    print(f"removed {one}")


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file() and not part.is_symlink()]
    return sum(file.stat().st_size for file in files)
