"""Checkpoints of one training in a folder that may hold others: create, verify, resume and delete only its own.

A checkpoint is ours when its marker has our `inputs_hash`, which identifies student, rows and settings. Everything else
in the folder is foreign: never resumed, changed or deleted.
"""

import hashlib
import logging
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.files import read_json, sync, write_json
from azdistill.contracts.manifest import sha256_file
from azdistill.students.errors import saving
from azdistill.training.self_teacher import SELF_TEACHER_FILE

# File that marks a checkpoint of azdistill. It is written with the folder, and again when the checkpoint is complete.
MARKER = "azdistill.json"

# The second one is resumed when the newest is damaged.
CHECKPOINTS_KEPT = 2

# Files that only a resumed training needs. DeepSpeed's folders have weights, too, and are kept.
STATE_FILES = ("optimizer*", "scheduler.pt", "scaler.pt", "rng_state*.pth", SELF_TEACHER_FILE)

# hashlib releases the lock of the interpreter. Weights and optimizer are two large files.
HASH_THREADS = 4

_NAME = re.compile(rf"{PREFIX_CHECKPOINT_DIR}-(\d+)")

logger = logging.getLogger("azdistill.training")


class SavedFile(BaseModel):
    """Size and content of a file when the checkpoint was complete."""

    size: int
    sha256: str


class Marker(BaseModel):
    """Content of the marker.

    A checkpoint is `incomplete` while it is written. One with `weights` alone is the best one of a training and cannot
    be resumed. `digest` is that of the other fields.
    """

    inputs_hash: str
    state: Literal["incomplete", "complete", "weights"]
    files: dict[str, SavedFile] = {}
    digest: str = ""

    def sealed(self) -> "Marker":
        """This marker with its digest."""
        return self.model_copy(update={"digest": self._digest()})

    @property
    def is_intact(self) -> bool:
        """True if the fields are those that were written; markers of earlier versions have no digest."""
        return self.digest in ("", self._digest())

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json(exclude={"digest"}).encode()).hexdigest()


# A marker that is damaged: the checkpoint is ours, and unusable.
UNREADABLE = Marker(inputs_hash="", state="incomplete")


def checkpoint_path(folder: Path, step: int) -> Path:
    """The folder that Trainer saves the checkpoint of a step to."""
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def start_checkpoint(checkpoint: Path, inputs_hash: str) -> None:
    """Create the marked folder of a checkpoint. Raises InputError when it would overwrite a foreign one."""
    refuse_foreign(checkpoint, inputs_hash)
    if _marker_of(checkpoint) is not None:
        shutil.rmtree(checkpoint)
    elif checkpoint.exists():
        checkpoint.rmdir()
    # Renamed when it has its marker: a process that is killed here leaves no checkpoint of unknown origin.
    unmarked = checkpoint.with_name(f".{checkpoint.name}")
    _write_marker(unmarked, Marker(inputs_hash=inputs_hash, state="incomplete"))
    unmarked.rename(checkpoint)


def complete_checkpoint(checkpoint: Path, inputs_hash: str) -> None:
    """Mark a checkpoint as complete, with size and hash of its files, when they are on the disk."""
    _write_marker(checkpoint, Marker(inputs_hash=inputs_hash, state="complete", files=_describe_files(checkpoint)))


def is_complete(checkpoint: Path) -> bool:
    """True if the checkpoint was written to its end. `damaged_file` tells if it is still as it was written."""
    marker = _marker_of(checkpoint)
    return marker is not None and marker.state == "complete"


def last_checkpoint(folder: Path, inputs_hash: str, other_jobs: Sequence[Path] = ()) -> Path | None:
    """The newest undamaged checkpoint of this training, in `folder` or in a folder of `other_jobs`.

    Logs one warning for each damaged checkpoint. Deletes our checkpoints in `folder` that can't be used; those of other
    jobs may be in use.
    """
    candidates = [path for job in (*other_jobs, folder) for path in _our_checkpoints(job, inputs_hash)]
    for checkpoint in candidates:
        if _marker_of(checkpoint) == UNREADABLE:
            _warn_of_damage(checkpoint, MARKER)
        if _state_of(checkpoint) == "incomplete" and checkpoint.parent == folder:
            shutil.rmtree(checkpoint)
    for checkpoint in sorted(filter(is_complete, candidates), key=step_of, reverse=True):
        if (damaged := damaged_file(checkpoint)) is None:
            return checkpoint
        _warn_of_damage(checkpoint, damaged)
        if checkpoint.parent == folder:
            shutil.rmtree(checkpoint)
    delete_checkpoints(folder, inputs_hash)  # weights that belong to no state
    return None


def _warn_of_damage(checkpoint: Path, file: str) -> None:
    logger.warning("train: %s: %s is damaged; the training continues from an earlier state", checkpoint.name, file)


def damaged_file(checkpoint: Path) -> str | None:
    """Name of a file that is missing or not as it was written, None when there is none."""
    files = {checkpoint / name: saved for name, saved in (_marker_of(checkpoint) or UNREADABLE).files.items()}
    if not files:
        return MARKER
    for path, saved in files.items():  # sizes first: they cost nothing
        if not path.is_file() or path.stat().st_size != saved.size:
            return path.name
    try:
        hashes = _hash_files(files)
    except OSError as error:  # the disk cannot read it
        return Path(error.filename or MARKER).name
    return next((path.name for path, saved in files.items() if hashes[path] != saved.sha256), None)


def find_best(folder: Path, inputs_hash: str, step: int, resumed: Path | None = None) -> Path | None:
    """The undamaged checkpoint of the best step in `folder`, None if it has none.

    When the training is `resumed` from the folder of another job, which that job may delete, its weights are copied.
    """
    best = checkpoint_path(folder, step)
    source = checkpoint_path(resumed.parent, step) if resumed else best
    if _state_of(best) in (None, "incomplete") and _state_of(source) in ("complete", "weights"):
        with saving(best, "the best weights"):
            start_checkpoint(best, inputs_hash)
            shutil.copytree(source, best, dirs_exist_ok=True, ignore=shutil.ignore_patterns(MARKER, *STATE_FILES))
            _write_marker(best, Marker(inputs_hash=inputs_hash, state="weights", files=_describe_files(best)))
    is_usable = _state_of(best) in ("complete", "weights") and damaged_file(best) is None
    return best if is_usable else None


def checkpoints_of_jobs(folder: Path, inputs_hash: str) -> frozenset[Path]:
    """Our checkpoints in the folders of all jobs in `folder`."""
    return frozenset(path for job in folder.iterdir() for path in _our_checkpoints(job, inputs_hash))


def delete_all(folder: Path, of_job: Path, inputs_hash: str, at_start: Collection[Path]) -> None:
    """Delete the checkpoints of a finished training in `of_job`, and the complete ones of earlier jobs in `folder`.

    A job with a checkpoint that is not among those `at_start` of this training trains the same at this moment, and
    needs its own. It may be writing an incomplete one.
    """
    delete_checkpoints(of_job, inputs_hash)
    for job in folder.iterdir():
        checkpoints = _our_checkpoints(job, inputs_hash)
        for checkpoint in checkpoints if set(checkpoints) <= set(at_start) else ():
            if _state_of(checkpoint) != "incomplete":
                shutil.rmtree(checkpoint, ignore_errors=True)
    for empty in (*folder.iterdir(), folder):
        with suppress(OSError):  # not empty, or not a folder
            empty.rmdir()


def delete_checkpoints(folder: Path, inputs_hash: str, keep: int = 0, best: int | None = None) -> None:
    """Delete our checkpoints but the newest `keep`: each has several times the size of the model.

    Of the checkpoint of step `best`, if it is older, the weights are kept.
    """
    checkpoints = _our_checkpoints(folder, inputs_hash)
    newest = [path for path in checkpoints if _state_of(path) != "weights"][-keep:] if keep else []
    for checkpoint in checkpoints:
        if checkpoint in newest:
            continue
        if step_of(checkpoint) != best:
            shutil.rmtree(checkpoint)
        elif _state_of(checkpoint) != "weights":
            _keep_weights(checkpoint)


def is_foreign(checkpoint: Path, inputs_hash: str) -> bool:
    """True if another program or another training has written to the folder of a checkpoint."""
    if not checkpoint.exists():
        return False
    is_empty_folder = checkpoint.is_dir() and not any(checkpoint.iterdir())
    return not is_empty_folder and not _is_ours(checkpoint, inputs_hash)


def refuse_foreign(checkpoint: Path, inputs_hash: str) -> None:
    """Raise InputError when a checkpoint would overwrite a foreign one."""
    if not is_foreign(checkpoint, inputs_hash):
        return
    is_of_azdistill = _marker_of(checkpoint) is not None
    raise InputError(
        "belongs to a training with another student, other rows or settings, and would be overwritten"
        if is_of_azdistill
        else "was not written by azdistill and would be overwritten",
        field=("checkpoints",),
        value=str(checkpoint),
        code="checkpoint_of_another_training" if is_of_azdistill else "foreign_checkpoint",
        fix="choose another folder",
    )


class CheckCheckpointFolder(TrainerCallback):
    """Raise InputError before the first step when a checkpoint of this training would overwrite a foreign one.

    `steps` are the steps between two checkpoints, besides those of Trainer. Checkpoints by time avoid foreign ones.
    """

    def __init__(self, inputs_hash: str, steps: int | None) -> None:
        self._inputs_hash, self._steps = inputs_hash, steps

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        folder = Path(args.output_dir)
        for step in (step_of(path) for path in folder.glob("*") if _NAME.fullmatch(path.name)):
            intervals = [state.save_steps, *([self._steps] if self._steps else [])]
            is_scheduled = step <= state.max_steps and any(step % interval == 0 for interval in intervals)
            if (is_scheduled or step == state.max_steps) and step > state.global_step:
                refuse_foreign(checkpoint_path(folder, step), self._inputs_hash)


def _our_checkpoints(folder: Path, inputs_hash: str) -> list[Path]:
    """Checkpoints with our marker, oldest first."""
    checkpoints = [p for p in folder.glob("*") if _NAME.fullmatch(p.name) and _is_ours(p, inputs_hash)]
    return sorted(checkpoints, key=step_of)


def _is_ours(checkpoint: Path, inputs_hash: str) -> bool:
    if checkpoint.is_symlink():
        return False
    marker = _marker_of(checkpoint)
    return marker is not None and marker.inputs_hash in (inputs_hash, UNREADABLE.inputs_hash)


def _state_of(checkpoint: Path) -> str | None:
    marker = _marker_of(checkpoint)
    return marker.state if marker else None


def _marker_of(checkpoint: Path) -> Marker | None:
    """Content of the marker, `UNREADABLE` when it is damaged. None: not a checkpoint of azdistill."""
    if not (checkpoint / MARKER).is_file():
        return None
    try:
        marker = Marker.model_validate(read_json(checkpoint / MARKER))
    except (DataError, ValidationError):
        return UNREADABLE
    return marker if marker.is_intact else UNREADABLE


def _write_marker(checkpoint: Path, marker: Marker) -> None:
    write_json(checkpoint / MARKER, marker.sealed().model_dump())


def _keep_weights(checkpoint: Path) -> None:
    """Delete the state of optimizer, schedule and random generators: two thirds of a checkpoint."""
    marker = _marker_of(checkpoint) or UNREADABLE
    state_files = {path for pattern in STATE_FILES for path in checkpoint.glob(pattern)}
    files = {name: file for name, file in marker.files.items() if not _is_within(checkpoint / name, state_files)}
    _write_marker(checkpoint, marker.model_copy(update={"state": "weights", "files": files}))
    for path in state_files:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_within(path: Path, parents: set[Path]) -> bool:
    return not parents.isdisjoint((path, *path.parents))


def _describe_files(checkpoint: Path) -> dict[str, SavedFile]:
    """Size and hash of each file, once all of them and their names are on the disk."""
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        list(pool.map(sync, (path for path in (checkpoint, *checkpoint.rglob("*")) if path.name != MARKER)))
    hashes = _hash_files(path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARKER)
    return {
        path.relative_to(checkpoint).as_posix(): SavedFile(size=path.stat().st_size, sha256=digest)
        for path, digest in sorted(hashes.items())
    }


def _hash_files(paths: Iterable[Path]) -> dict[Path, str]:
    listed = list(paths)
    with ThreadPoolExecutor(HASH_THREADS) as pool:
        return dict(zip(listed, pool.map(sha256_file, listed), strict=True))
