"""Fine-tune a student on the teacher's answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import set_seed

from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import Student, load_student
from azdistill.students.usage import parameters
from azdistill.training.checkpoints import last_checkpoint
from azdistill.training.figures import TrainingFigures, training_figures
from azdistill.training.history import history
from azdistill.training.rows import encode, encode_training
from azdistill.training.trainer import precision, student_trainer


@dataclass(frozen=True)
class FineTuned:
    """The distilled student, its figures, and the points of history.jsonl."""

    student: Student
    figures: TrainingFigures
    history: list[dict[str, Any]]


def fine_tune(
    train: Sequence[TrainRow],
    validation: Sequence[TrainRow],
    student: Path,
    config: TrainConfig,
    checkpoints: Path,
    work: str = "",
) -> FineTuned:
    """Train the model in the folder `student`; only the assistant's last turn of each row is learned.

    Checkpoints go to `checkpoints`, and a whole one of the same `work` (any text that names
    rows and settings) is continued. The same seed on the same machine gives the same model.
    Raises DataError for a student or rows that can't be trained on.
    """
    loaded = load_student(student, config.weights, config.seed, dtype="float32")
    rows = encode_training(train, loaded.tokenizer, config)
    held = encode(validation, loaded.tokenizer, config)
    set_seed(config.seed)
    trainer = student_trainer(loaded, rows, held, config, checkpoints, work)
    resumed = last_checkpoint(checkpoints, work)
    print(_opening(loaded, rows, config, resumed), flush=True)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    seconds = time.monotonic() - started
    points = history(trainer.state.log_history)
    figures = training_figures(trainer, rows, held, config, points, seconds, _step(resumed))
    return FineTuned(Student(trainer.model.eval(), loaded.tokenizer), figures, points)


def _opening(student: Student, rows: Sequence[Any], config: TrainConfig, resumed: Path | None) -> str:
    size = f"{parameters(student.model):,} parameters on {student.device.type} in {precision(config)}"
    return f"train: {len(rows)} rows, {size}{f', continued from {resumed.name}' if resumed else ''}"


def _step(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
