"""Checkpoints of azdistill in a folder that may hold other checkpoints: create, resume and delete only our own."""

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.files import read_json, write_json

# File that marks a checkpoint of azdistill. It is written with the folder, and again when the checkpoint is complete.
MARKER = "azdistill.json"

CHECKPOINTS_KEPT = 2

_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")


def checkpoint_path(folder: Path, step: int) -> Path:
    """The folder that Trainer saves the checkpoint of a step to."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def start_checkpoint(checkpoint: Path, inputs_hash: str) -> None:
    """Create the marked folder of a checkpoint. Raises InputError when another program has written it."""
    if _marker_of(checkpoint) is not None:
        shutil.rmtree(checkpoint)
    elif checkpoint.exists():
        refuse_foreign(checkpoint)
        checkpoint.rmdir()
    # Renamed when it has its marker: a process that is killed here leaves no checkpoint of unknown origin.
    unmarked = checkpoint.with_name(f".{checkpoint.name}")
    write_json(unmarked / MARKER, {"inputs_hash": inputs_hash, "complete": False})
    unmarked.rename(checkpoint)


def complete_checkpoint(checkpoint: Path, inputs_hash: str) -> None:
    """Mark a checkpoint as complete. `inputs_hash` identifies student, rows and settings."""
    write_json(checkpoint / MARKER, {"inputs_hash": inputs_hash, "complete": True})


def is_complete(checkpoint: Path) -> bool:
    return (_marker_of(checkpoint) or {}).get("complete") is True


def last_checkpoint(folder: Path, inputs_hash: str, other_jobs: Sequence[Path] = ()) -> Path | None:
    """The newest complete checkpoint with this `inputs_hash`, in `folder` or in a folder of `other_jobs`.

    Deletes our other checkpoints in `folder` that can't be resumed. Those of other jobs may be in use.
    """
    for checkpoint in _our_checkpoints(folder):
        if not _is_usable(checkpoint, inputs_hash):
            shutil.rmtree(checkpoint)
    checkpoints = [checkpoint for job in (*other_jobs, folder) for checkpoint in _our_checkpoints(job)]
    return max((path for path in checkpoints if _is_usable(path, inputs_hash)), key=step_of, default=None)


def _is_usable(checkpoint: Path, inputs_hash: str) -> bool:
    return is_complete(checkpoint) and (_marker_of(checkpoint) or {}).get("inputs_hash") == inputs_hash


def delete_all(folder: Path, own: Path, inputs_hash: str) -> None:
    """Delete the checkpoints of a finished training in `own`, and the complete ones of earlier jobs in `folder`.

    An incomplete one may be written by a job that trains the same at this moment.
    """
    delete_checkpoints(own)
    for checkpoint in (path for job in folder.iterdir() for path in _our_checkpoints(job)):
        if _is_usable(checkpoint, inputs_hash):
            shutil.rmtree(checkpoint, ignore_errors=True)
    for empty in (*folder.iterdir(), folder):
        with suppress(OSError):  # not empty, or not a folder
            empty.rmdir()


def delete_checkpoints(folder: Path, keep: int = 0) -> None:
    """Delete our checkpoints but the newest `keep`: each has several times the size of the model."""
    checkpoints = _our_checkpoints(folder)
    for checkpoint in checkpoints[: len(checkpoints) - keep]:
        shutil.rmtree(checkpoint)


def refuse_foreign(checkpoint: Path) -> None:
    """Raise InputError when another program has written to the folder of a checkpoint."""
    is_empty_folder = checkpoint.is_dir() and not any(checkpoint.iterdir())
    if checkpoint.exists() and _marker_of(checkpoint) is None and not is_empty_folder:
        raise InputError(
            "was not written by azdistill and would be overwritten",
            field=("checkpoints",),
            value=str(checkpoint),
            code="foreign_checkpoint",
            fix="choose another folder",
        )


class CheckCheckpointFolder(TrainerCallback):
    """Raise InputError before the first step when a checkpoint of this training would overwrite a foreign one."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        for step in (*range(state.save_steps, state.max_steps, state.save_steps), state.max_steps):
            refuse_foreign(checkpoint_path(Path(args.output_dir), step))


def _our_checkpoints(folder: Path) -> list[Path]:
    """Marked checkpoints, oldest first."""
    checkpoints = [path for path in folder.glob("*") if _NAME.fullmatch(path.name) and _marker_of(path) is not None]
    return sorted(checkpoints, key=step_of)


def _marker_of(checkpoint: Path) -> dict[str, Any] | None:
    """Content of the marker, empty when it is damaged. None: not our checkpoint."""
    if not (checkpoint / MARKER).is_file():
        return None
    try:
        marker = read_json(checkpoint / MARKER)
    except DataError:
        return {}
    return marker if isinstance(marker, dict) else {}
