"""What a training tells while it runs: one line a log, and history.jsonl."""

import json
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.files import write_text
from azdistill.contracts.progress import Progress

NAMES = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
"""Trainer's name -> the name in history.jsonl."""


class ShowProgress(TrainerCallback):
    """`train: 120/400 (9.6/s, 29 s left) loss 0.42`, every two seconds."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.loss = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress = Progress("train", state.max_steps - state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.loss = f"loss {float(logs['loss']):.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.progress and state.is_world_process_zero:
            self.progress.advance(note=self.loss)


def history(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Points of Trainer's log, one a step, in order."""
    points: dict[int, dict[str, Any]] = {}
    for entry in log:
        known = {ours: entry[theirs] for theirs, ours in NAMES.items() if theirs in entry}
        if known:
            points.setdefault(entry["step"], {"step": entry["step"]}).update(known)
    return [points[step] for step in sorted(points)]


def write_history(path: Path, points: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    write_text(path, "".join(json.dumps(point) + "\n" for point in points))
