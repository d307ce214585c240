"""Where an interrupted run continues: the last checkpoint that was written to its end, of the same work."""

import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from azdistill.contracts.files import read_json, write_json

MARK = "complete.json"
"""Written into a checkpoint after everything else. Without it a checkpoint is half a checkpoint."""


class MarkCheckpoints(TrainerCallback):
    """Marks each checkpoint once it is whole, with what it is a checkpoint of."""

    def __init__(self, work: str) -> None:
        self.work = work

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            folder = Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
            write_json(folder / MARK, {"work": self.work, "step": state.global_step})


def last_checkpoint(folder: Path, work: str) -> Path | None:
    """The newest whole checkpoint of `work`. Half-written ones and those of other work are removed."""
    found = sorted(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    usable = [path for path in found if _work_of(path) == work]
    for path in found:
        if path not in usable:
            shutil.rmtree(path)
    return usable[-1] if usable else None


def clear(folder: Path) -> None:
    """Remove the checkpoints of a training that has ended: they weigh several times the model."""
    for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"):
        shutil.rmtree(path)


def _work_of(path: Path) -> str | None:
    return read_json(path / MARK).get("work") if (path / MARK).is_file() else None
