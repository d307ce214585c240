"""azdistill clean: delete runs, or their checkpoints."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.local_runs.run_folder import RunFolder

# Files in the output `checkpoints` of a run's nodes. The output itself stays: the node expects it.
CHECKPOINTS = "*/checkpoints/*"


def clean(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="run folders, or their names in runs/")],
    checkpoints: Annotated[
        bool, typer.Option("--checkpoints", help="delete only the checkpoints, from which a training would continue")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask for confirmation")] = False,
) -> None:
    """Delete runs, or only their checkpoints.

    Answers of teachers and registered models stay: they are in AZDISTILL_HOME.

    Example: azdistill clean first second --yes

    Exit codes: 0 deleted, 1 not confirmed, 2 there is no such run, or it is in use.
    """
    from azdistill.local_runs.run_folder import find_run

    run_folders = {run.path.resolve(): run for run in map(find_run, runs)}
    deletions = [_plan_deletion(run, checkpoints=checkpoints) for run in run_folders.values()]
    if not yes:
        _confirm(deletions)
    for deletion in deletions:
        _delete(deletion)


@dataclass(frozen=True)
class _Deletion:
    """Paths of a run to delete, and their size in bytes."""

    run: Path
    paths: tuple[Path, ...]
    size: int

    def __str__(self) -> str:
        subject = self.run if self.run in self.paths else f"the checkpoints of {self.run}"
        return f"{subject} ({self.size / 1e6:,.1f} MB)"


def _plan_deletion(run: "RunFolder", *, checkpoints: bool) -> _Deletion:
    """Raises InputError for a run in progress."""
    from azdistill.contracts.errors import InputError

    if run.in_use:
        raise InputError("in use by a run", subject=f"run folder {str(run.path)!r}", code="in_use", fix="end it first")
    # A node may have put a link to another folder into the run: what is there is not of the run.
    inside = (path for path in run.path.glob(CHECKPOINTS) if path.parent.resolve().is_relative_to(run.path.resolve()))
    of_training = (*sorted(inside), *_shared_checkpoints(run.path))
    paths = of_training if checkpoints else (run.path, *_shared_checkpoints(run.path))
    return _Deletion(run.path, paths, sum(map(_size, paths)))


def _shared_checkpoints(run: Path) -> list[Path]:
    """The checkpoints of step train of a run. They are in the datastore, which runs share."""
    from azdistill.contracts.layout import RUN_MODEL
    from azdistill.contracts.train import CHECKPOINTS_PATH, job_folder
    from azdistill.engine.local.storage import datastore_path, home_folder

    home = home_folder()
    folder = datastore_path(CHECKPOINTS_PATH, home)
    assert folder
    _, *path = folder.relative_to(home.absolute() / "datastores").parts
    return sorted((home / "datastores").glob("/".join(("*", *path, "*", job_folder(run / RUN_MODEL, {})))))


def _confirm(deletions: list[_Deletion]) -> None:
    """Ends the command if the answer is no. Raises InputError without a terminal."""
    from azdistill.contracts.errors import InputError

    if not sys.stdin.isatty():
        raise InputError("no terminal to ask for confirmation", code="no_terminal", fix="add --yes")
    print_text(*deletions, sep="\n")
    typer.confirm("delete?", abort=True)


def _delete(deletion: _Deletion) -> None:
    """Raises InputError for a run that has started in the meantime."""
    from azdistill.engine.local.guards import locked
    from azdistill.engine.local.storage import remove

    with locked(deletion.run):
        for path in deletion.paths:
            remove(path)
    print_text(f"deleted {deletion}")


def _size(path: Path) -> int:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files)
