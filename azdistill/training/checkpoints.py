"""Where an interrupted run continues: the last checkpoint that was written to its end, of the same work."""

import shutil
from pathlib import Path

from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, write_json

MARK = "complete.json"
"""Written into a checkpoint after everything else. Without it a checkpoint is half a checkpoint."""


def mark_whole(checkpoint: Path, work: str) -> None:
    """Say that a checkpoint is whole, and what it is a checkpoint of."""
    write_json(checkpoint / MARK, {"work": work, "step": step_of(checkpoint)})


def last_checkpoint(folder: Path, work: str) -> Path | None:
    """The newest whole checkpoint of `work`. Half-written ones and those of other work are removed."""
    found = sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-[0-9]*"), key=step_of)
    usable = [path for path in found if _work_of(path) == work]
    for path in found:
        if path not in usable:
            shutil.rmtree(path)
    return usable[-1] if usable else None


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def clear(folder: Path) -> None:
    """Remove the checkpoints of a training that has ended: they weigh several times the model."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(path)


def _work_of(path: Path) -> str | None:
    try:
        mark = read_json(path / MARK)
    except DataError:
        return None
    return mark.get("work") if isinstance(mark, dict) else None
