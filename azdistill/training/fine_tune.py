"""Fine-tune a student on the teacher's answers."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState
from transformers import TrainerCallback, set_seed

from azdistill.contracts.errors import DataError, InputError, Interrupted
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.scoring import Scorer
from azdistill.contracts.sweep import OBJECTIVE
from azdistill.contracts.train import TrainConfig
from azdistill.students.chat_template import pin_template
from azdistill.students.decode import context_of
from azdistill.students.errors import saving
from azdistill.students.loading import Student, max_positions, preserve_random_state, quiet_transformers
from azdistill.students.usage import num_parameters
from azdistill.training.adapters import (
    add_adapters,
    count_parameters,
    load_base,
    merge_adapters,
    saved_dtype,
    with_weights,
)
from azdistill.training.alignment import Aligner
from azdistill.training.architecture import separates_packed_rows
from azdistill.training.callbacks import LogProgress, SaveAndStopOnSigterm, SaveOnSchedule, StopEarly
from azdistill.training.checkpoints import CheckCheckpointFolder, find_best
from azdistill.training.dataset import TokenizedRows
from azdistill.training.divergence import without_cudnn_attention
from azdistill.training.layer_terms import layer_terms
from azdistill.training.loss import loss_in_forward
from azdistill.training.metrics import Ending, TrainingMetrics, history_points, training_metrics
from azdistill.training.objective import TrainingObjective
from azdistill.training.privileged import PrivilegedPrompts
from azdistill.training.requirements import check_requirements
from azdistill.training.resume import ForgetBest, StartingPoint, find_start, from_main_process
from azdistill.training.rows import contain_thoughts, tokenize_training_rows
from azdistill.training.self_teacher import SelfTeacher
from azdistill.training.sharding import gather_weights, without_unused_sharding
from azdistill.training.teacher_logprobs import TeacherLogprobs
from azdistill.training.tracking import LogToMLflow
from azdistill.training.trainer import StudentTrainer, precision, student_trainer
from azdistill.training.white_box import WhiteBoxTeacher, check_tokens, load_teachers

# With fewer weights a step is so short that threads mostly wait for each other. Measured with a Llama of 312,000
# weights: a second thread saves a quarter of the time at most on idle cores, and on busy cores a step takes 3 to 20
# times as long.
SINGLE_THREAD_BELOW = 1_000_000

# Files with the tokenized rows.
TRAIN_ROWS, VALIDATION_ROWS = "train.arrow", "validation.arrow"

logger = logging.getLogger("azdistill.training")


@dataclass(frozen=True)
class FineTuned:
    """The trained student, the type of its weights on disk, its metrics, and the points of history.jsonl.

    Adapters are merged into the student. `is_main_process` is true in one of the processes that trained together: the
    one that writes the results.
    """

    student: Student
    dtype: str
    metrics: TrainingMetrics
    history: list[dict[str, Any]]
    is_main_process: bool


def fine_tune(
    train: Iterable[TrainRow],
    validation: Iterable[TrainRow],
    student: Path,
    config: TrainConfig,
    checkpoints: Path,
    inputs_hash: str = "",
    other_jobs: Sequence[Path] = (),
    chat_template: str | None = None,
    tokenized: Path | None = None,
    workers: int = 0,
    completions: Path | None = None,
    white_box: Sequence[Path] = (),
    scorer: Scorer | None = None,
) -> FineTuned:
    """Train the model in the folder `student` on the assistant turns of each row.

    Where the answers begin with the teacher's reasoning, the saved chat template lets the student think by default.

    Saves checkpoints to `checkpoints`, and resumes from the last undamaged one there, or in the folders `other_jobs`,
    with the same `inputs_hash` (any text that identifies student, rows and settings). `chat_template` replaces that of
    the student. `train` is iterated twice. With a folder `tokenized`, which is of these inputs only, the tokenized rows
    are written to files there, by `workers` processes, and used again. `completions` is the folder with the teacher's
    log probabilities, for `train.losses.top_k`; `white_box` are the folders of teachers that are loaded next to the
    student, whose weights are in the config; `scorer` is the teacher of a config with `has_scorer`, which only the main
    process needs. The same seed on the same machine gives the same weights: those with the lowest validation loss,
    unless `keep_best` is false. Raises DataError for a student or rows that can't be used, AzdistillError when the loss
    diverges or the disk is full, what `scorer` raises, and Interrupted after SIGTERM: in both cases a checkpoint is
    saved.
    """
    config = without_unused_sharding(config.resolved())
    check_requirements(config)
    with quiet_transformers(), preserve_random_state():
        loaded = load_base(student, config, chat_template)
        _check_packing(loaded.model, config, "this student")
        pin_template(loaded.tokenizer, thinking=contain_thoughts(train))
        aligner = _aligner(completions, loaded.tokenizer) if config.loss_weights.top_k else None
        rows = _tokenize(train, validation, loaded, config, tokenized, workers, aligner)
        if aligner:
            _check_alignment(rows.train)
        if config.is_self_taught:
            _check_privileged(rows.train)
        teachers = load_teachers(white_box, loaded, config)
        check_tokens(rows.train, teachers, loaded.tokenizer)
        for teacher in teachers:
            _check_packing(teacher.model, config, "this white-box teacher")
        set_seed(config.seed)
        trained = add_adapters(loaded, config) if config.has_adapters else loaded
        self_teacher = _self_teacher(loaded.model, config)
        use_cache = loaded.model.config.use_cache
        stop, mlflow = SaveAndStopOnSigterm(inputs_hash), LogToMLflow(config, inputs_hash)
        callbacks = _callbacks(config, inputs_hash, stop, mlflow)
        trainer = student_trainer(trained, *rows, config, checkpoints, inputs_hash, callbacks, scorer, self_teacher)
        with saving(checkpoints, "the checkpoints"):
            start = from_main_process(lambda: find_start(checkpoints, inputs_hash, other_jobs, config))
        _log_start(trained, rows, config, start, trainer)
        seconds = _train(trainer, start, stop, TrainingObjective(config), teachers, self_teacher)
        loaded.model.config.use_cache = use_cache  # Trainer sets it to false, and it would be saved
        saved_step = _load_best(trainer, checkpoints, inputs_hash)
    metrics, history = _metrics(trainer, rows, config, start, seconds, saved_step, mlflow.run)
    _log_metrics(mlflow, metrics)
    tuned = _trained_student(trainer, loaded.tokenizer, student, config)
    return FineTuned(tuned, saved_dtype(student, config), metrics, history, bool(trainer.is_world_process_zero()))


class _Rows(NamedTuple):
    """Tokenized rows."""

    train: TokenizedRows
    validation: TokenizedRows


def _check_packing(model: Any, config: TrainConfig, name: str) -> None:
    """Raise InputError when the rows of a packed batch would see each other."""
    if config.packing and not separates_packed_rows(model):
        raise InputError(
            f"{name} mixes the rows of a batch: its layers do not see where a row starts",
            code="rows_not_separated",
            field=("train", "packing"),
            fix="set it to false",
        )


def _aligner(completions: Path | None, tokenizer: Any) -> Aligner:
    """Raises InputError without a folder of log probabilities, DataError for one that has none."""
    if completions is None:
        raise InputError(
            "needs the teacher's log probabilities",
            code="missing_logprobs",
            field=("train", "losses", "top_k"),
            fix="pass the folder of the teacher's completions",
        )
    logprobs = TeacherLogprobs(completions)
    if not logprobs:
        raise DataError(
            "there are no log probabilities of the teacher, which train.losses.top_k needs",
            file=completions,
            code="missing_logprobs",
            fix="see usage.json of the teacher step for the reasons, or remove top_k from train.losses",
        )
    return Aligner(logprobs, tokenizer)


def _check_alignment(rows: TokenizedRows) -> None:
    """Log the share of aligned target tokens. Raises DataError if there are none."""
    share = rows.num_aligned_tokens / rows.num_target_tokens
    logger.info("train: the teacher's likely tokens are known for %.1f%% of the target tokens", 100 * share)
    if not share:
        raise DataError(
            "no target token of the training rows has log probabilities of the teacher",
            code="no_aligned_tokens",
            field=("train", "losses", "top_k"),
            fix="check that the completions are those of the curated rows, or remove top_k from train.losses",
        )


def _check_privileged(rows: TokenizedRows) -> None:
    """Warn about rows that stay text. Raises DataError if none can be sampled."""
    without = len(rows) - rows.num_privileged_rows
    reason = "there is no stored answer or no user turn, or with a sampled answer they exceed the student's context"
    if without == len(rows):
        raise DataError(
            f"no answer can be sampled to the training rows: {reason}",
            code="no_privileged_prompt",
            field=("train", "on_policy", "teacher"),
            value="self",
            fix="lower train.on_policy.max_new_tokens, or remove on_policy",
        )
    if without:
        logger.warning("train: no answers are sampled to %d of %d rows: %s", without, len(rows), reason)


def _self_teacher(student: Any, config: TrainConfig) -> SelfTeacher | None:
    """The teacher of a student that scores its own answers, with the adapters that are trained."""
    if config.on_policy is None or config.on_policy.teacher != "self":
        return None
    return SelfTeacher(student, config.on_policy.teacher_decay)


def _tokenize(
    train: Iterable[TrainRow],
    validation: Iterable[TrainRow],
    student: Student,
    config: TrainConfig,
    folder: Path | None,
    workers: int,
    aligner: Aligner | None,
) -> _Rows:
    """Tokenize the rows in the first process of each node. The others read the files that it has written."""
    positions = max_positions(student.model)
    files = (folder / TRAIN_ROWS, folder / VALIDATION_ROWS) if folder else (None, None)
    privileged = PrivilegedPrompts(config, context_of(student.model)) if config.is_self_taught else None
    with PartialState().local_main_process_first():
        return _Rows(
            tokenize_training_rows(train, student.tokenizer, config, positions, files[0], workers, aligner, privileged),
            tokenize_training_rows(
                validation, student.tokenizer, config, positions, files[1], workers, may_be_empty=True
            ),
        )


def _callbacks(
    config: TrainConfig, inputs_hash: str, stop: SaveAndStopOnSigterm, mlflow: LogToMLflow
) -> list[TrainerCallback]:
    folder = CheckCheckpointFolder(inputs_hash, config.checkpoint_steps)
    callbacks = [SaveOnSchedule(config, inputs_hash), stop, LogProgress(), mlflow, folder]
    patience = config.early_stopping_patience
    return [*callbacks, StopEarly(patience)] if patience else callbacks


def _train(
    trainer: StudentTrainer,
    start: StartingPoint,
    stop: SaveAndStopOnSigterm,
    objective: TrainingObjective,
    teachers: Sequence[WhiteBoxTeacher],
    self_teacher: SelfTeacher | None,
) -> float:
    """Train from the starting point to the end. Returns the seconds. Raises Interrupted after SIGTERM."""
    if start.has_lost_best:
        trainer.add_callback(ForgetBest())
    if start.is_finished:
        trainer.args.num_train_epochs = 0
    model, started = trainer.model, time.monotonic()
    with (
        stop.handle_signal(trainer.args.world_size),
        _threads_for(model),
        layer_terms(model, teachers, objective.config) as layers,
        loss_in_forward(model, objective, teachers, layers, self_teacher),
        without_cudnn_attention(),
    ):
        trainer.train(resume_from_checkpoint=str(start.checkpoint) if start.checkpoint else None)
    step, max_steps = trainer.state.global_step, trainer.state.max_steps
    if stop.received and step < max_steps:
        message = f"training stopped by SIGTERM after step {step} of {max_steps}"
        raise Interrupted(message, fix="run again to continue")
    return time.monotonic() - started


def _metrics(
    trainer: StudentTrainer,
    rows: _Rows,
    config: TrainConfig,
    start: StartingPoint,
    seconds: float,
    saved_step: int,
    mlflow_run: str | None,
) -> tuple[TrainingMetrics, list[dict[str, Any]]]:
    """The content of metrics.json and of history.jsonl."""
    history = history_points(trainer.state.log_history, saved_step)
    is_early = start.is_finished or trainer.state.global_step < trainer.state.max_steps
    ending: Ending = "early_stopping" if is_early else "num_epochs"
    metrics = training_metrics(trainer, *rows, config, history, seconds, start.step, saved_step, ending, mlflow_run)
    return metrics, history


def _log_metrics(mlflow: LogToMLflow, metrics: TrainingMetrics) -> None:
    """Log the metrics, and the objective of a sweep, whose last value is that of the saved weights."""
    objective = {} if metrics.validation_loss is None else {OBJECTIVE: metrics.validation_loss}
    mlflow.log({**metrics.as_json(), **objective}, metrics.steps, last=True)


def _trained_student(trainer: StudentTrainer, tokenizer: Any, folder: Path, config: TrainConfig) -> Student:
    """The student, in the main process with all weights: those of the other processes, and merged adapters."""
    weights = gather_weights(trainer) if config.is_sharded else None  # in all processes
    tuned = Student(trainer.model.eval(), tokenizer)
    if not trainer.is_world_process_zero():
        return tuned
    if config.has_adapters:
        return merge_adapters(tuned, folder, config, weights)
    return with_weights(tuned, folder, config, weights) if weights else tuned


def _parameters(model: Any, config: TrainConfig) -> str:
    """`3,836,021,760 parameters`, and with adapters ` and 23,068,672 of adapters (lora)`."""
    trained, total = count_parameters(model)
    return f"{total:,} parameters{f' and {trained:,} of adapters ({config.method})' if config.has_adapters else ''}"


def _log_start(
    student: Student, rows: _Rows, config: TrainConfig, start: StartingPoint, trainer: StudentTrainer
) -> None:
    """Log model, rows and device in the main process, and warn about settings without an effect."""
    if not trainer.is_world_process_zero():
        return
    logger.info(
        "train: %d rows, %s on %s in %s%s%s",
        len(rows.train),
        _parameters(student.model, config),
        trainer.args.device.type,
        precision(config),
        f", sharded by {config.sharding}" if config.is_sharded else "",
        f", resumed from {start.checkpoint.name}" if start.checkpoint else "",
    )
    if config.early_stopping_patience and not rows.validation:
        logger.warning("train: no validation rows: train.early_stopping_patience has no effect")
    gpus, processes = torch.cuda.device_count(), PartialState().num_processes
    if gpus > processes:
        logger.warning("train: %d of %d GPUs are used; start one process for each", processes, gpus)


def _load_best(trainer: StudentTrainer, checkpoints: Path, inputs_hash: str) -> int:
    """Load the weights with the lowest validation loss. Returns their step: the last one where there is no other."""
    best, last = trainer.best_step, int(trainer.state.global_step)
    if best is None or best == last:
        return last
    checkpoint = from_main_process(lambda: find_best(checkpoints, inputs_hash, best))
    if checkpoint is None:
        logger.warning(
            "train: the best weights, of step %d, are missing or damaged; those of step %d are saved", best, last
        )
        return last
    trainer.load_best(checkpoint)
    return best


@contextmanager
def _threads_for(model: Any) -> Iterator[None]:
    """Use one thread for a small student, and torch's own choice for others."""
    threads = torch.get_num_threads()
    if num_parameters(model) < SINGLE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
