"""Fine-tune a student on the teacher's answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import set_seed

from azdistill.contracts.errors import Interrupted
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import Student, load_student
from azdistill.students.usage import parameters
from azdistill.training.checkpoints import last_checkpoint, step_of
from azdistill.training.figures import TrainingFigures, training_figures
from azdistill.training.history import ShowProgress, history
from azdistill.training.rows import encode, encode_training
from azdistill.training.setup import precision, student_trainer
from azdistill.training.threads import fitting_threads
from azdistill.training.tracking import LogToRun
from azdistill.training.trainer import StudentTrainer
from azdistill.training.watch import RefuseNonFinite, StopWhenAsked


@dataclass(frozen=True)
class FineTuned:
    """The distilled student, its figures, and the points of history.jsonl.

    Of several processes that trained it together one `leads`: that one writes.
    """

    student: Student
    figures: TrainingFigures
    history: list[dict[str, Any]]
    leads: bool


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
    Raises DataError for a student or rows that can't be trained on, AzdistillError for a student that
    diverges or a disk that is full, Interrupted once SIGTERM was heard and a checkpoint is written.
    """
    loaded = load_student(student, config.weights, config.seed, dtype="float32")
    rows = encode_training(train, loaded.tokenizer, config)
    held = encode(validation, loaded.tokenizer, config)
    set_seed(config.seed)
    stop = StopWhenAsked()
    run = LogToRun(config)
    callbacks = [RefuseNonFinite(), stop, ShowProgress(), run]
    trainer = student_trainer(loaded, rows, held, config, checkpoints, work, callbacks)
    leads: bool = trainer.is_world_process_zero()
    with trainer.args.main_process_first(local=False):
        resumed = last_checkpoint(checkpoints, work)
    if leads:
        print(_opening(loaded, rows, config, resumed), flush=True)
    started = time.monotonic()
    with stop.by_sigterm(trainer.args.world_size), fitting_threads(loaded):
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    seconds = time.monotonic() - started
    _check_finished(trainer)
    points = history(trainer.state.log_history)
    figures = training_figures(trainer, rows, held, config, points, seconds, step_of(resumed) if resumed else 0)
    run.log(figures.as_json(), figures.steps)
    return FineTuned(Student(trainer.model.eval(), loaded.tokenizer), figures, points, leads)


def _check_finished(trainer: StudentTrainer) -> None:
    done, planned = trainer.state.global_step, trainer.state.max_steps
    if done < planned:
        raise Interrupted(f"training: stopped by SIGTERM after step {done} of {planned}; run again to continue there")


def _opening(student: Student, rows: Sequence[Any], config: TrainConfig, resumed: Path | None) -> str:
    size = f"{parameters(student.model):,} parameters on {student.device.type} in {precision(config)}"
    return f"train: {len(rows)} rows, {size}{f', continued from {resumed.name}' if resumed else ''}"
