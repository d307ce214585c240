"""Fine-tune a student on a teacher's answers, from a notebook or a script."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.api.generate import TeacherResponses
from azdistill.api.inputs import Rows, task_field_and_file, validated
from azdistill.api.progress import import_warnings_hidden, show_progress
from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import COMPLETIONS_FILE
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import TRACE, Completion, Message, Reject, TrainRow
from azdistill.contracts.train import STEP, TrainConfig, resumable_settings
from azdistill.job.chat_template import read_chat_template

if TYPE_CHECKING:
    from azdistill.students.loading import Student
    from azdistill.training.metrics import TrainingMetrics

# The answers of a teacher, or chat rows that end with the answer to train on.
TrainingData = TeacherResponses | Sequence[Completion] | Rows


@dataclass(frozen=True)
class DistilledStudent:
    """A trained student.

    `metrics` has losses (nats a target token), seconds, tokens a second and bytes. `history` has one point for each log
    of the trainer. `drops` are the answers that were not used, each with source and reason. `dtype` is the type of the
    saved weights.
    """

    metrics: "TrainingMetrics"
    history: list[dict[str, Any]]
    drops: list[Reject]
    student: "Student"
    dtype: str

    def save(self, folder: Path | str) -> Path:
        """Write safetensors, config and tokenizer as the train step does. `azdistill chat FOLDER` chats with it."""
        from azdistill.contracts.manifest import close_folder, open_folder

        path = open_folder(Path(folder))
        self.student.save(path, self.dtype)
        close_folder(path, STEP.name, {"parameters": self.metrics.parameters})
        return path

    def reply(self, messages: str | Sequence[Mapping[str, str]], max_new_tokens: int = 256) -> str:
        """The student's answer to a question, or to a conversation that ends with a user turn."""
        from azdistill.generation.generate import chat_reply

        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return chat_reply(self.student, [validated(Message, turn, "messages") for turn in turns], max_new_tokens)


def fine_tune_student(
    student: Path | str,
    training: TrainingData,
    validation: TrainingData = (),
    *,
    hyperparameters: TrainConfig | Mapping[str, Any] | None = None,
    task: str = "conversation",
    chat_template: Path | str | None = None,
    white_box: Sequence[Path | str] = (),
    checkpoints: Path | str | None = None,
    progress: bool = True,
) -> DistilledStudent:
    """Fine-tune the model in the folder `student` on the answers in `training`, on the GPU where there is one.

    `training` and `validation` are the result of `generate_teacher_responses`, or a JSONL file or list of chat rows
    whose last turn is the answer. Answers that are truncated, empty or not valid in `task` are dropped.
    `hyperparameters` are the fields of a job's `train` section (learning_rate, batch_size in rows, num_epochs, ...).
    `chat_template` is chatml or the Jinja file of a template, for a base model, which has none. `white_box` are folders
    of teachers that are loaded next to the student, for the losses and on_policy of the hyperparameters, which may set
    their weights (white_box_weights). With a folder `checkpoints` an interrupted training resumes there. `progress`
    shows the progress on standard output, unless logging is configured.

    Raises DataError (an InputError) for a student or rows that can't be used, InputError for invalid settings.
    """
    settings = hyperparameters or {}
    config = settings if isinstance(settings, TrainConfig) else validated(TrainConfig, settings, "hyperparameters")
    config = config.resolved()
    train_rows, drops = read_training_rows(training, task)
    validation_rows, validation_drops = ([], []) if _is_empty(validation) else read_training_rows(validation, task)
    # The validation loss is of answers only, not of the teacher's reasoning.
    validation_rows = [row for row in validation_rows if not row.id.endswith(TRACE)]
    template = None if chat_template is None else read_chat_template(chat_template)
    teachers = [Path(teacher) for teacher in white_box]
    inputs_hash = _hash_inputs(config, train_rows, [Path(student), *teachers], template)
    with _checkpoint_folder(checkpoints) as folder, show_progress(progress), import_warnings_hidden():
        from azdistill.training.fine_tune import fine_tune

        tuned = fine_tune(
            train_rows,
            validation_rows,
            Path(student),
            config,
            folder,
            inputs_hash,
            chat_template=template,
            white_box=teachers,
        )
    return DistilledStudent(tuned.metrics, tuned.history, [*drops, *validation_drops], tuned.student, tuned.dtype)


def read_training_rows(data: TrainingData, task: str) -> tuple[list[TrainRow], list[Reject]]:
    """Rows to train on, and the dropped ones. Raises DataError when all rows or too many are dropped."""
    from azdistill.data.answered import answered_rows
    from azdistill.data.curate import check_drops, curate

    task_field, task_file = task_field_and_file(task)
    rows, completions = _rows_or_completions(data)
    if rows is not None:
        return answered_rows(rows, validated(PrepareConfig, task_field), task_file)
    config = validated(CurateConfig, task_field)
    curated = curate(completions, config, task_file)
    check_drops(curated.counts, config.max_drop_ratio)
    return [*curated.train, *curated.validation], list(curated.drops)


def _rows_or_completions(data: TrainingData) -> tuple[Path | Sequence[Any] | None, list[Completion]]:
    """Either rows in a user's format, or the completions of a teacher, as in a run's completions.jsonl."""
    if isinstance(data, TeacherResponses):
        return None, data.completions
    if isinstance(data, Path | str):
        path = Path(data)
        return (None, list(read_rows(path, Completion))) if path.name == COMPLETIONS_FILE else (path, [])
    completions = [row for row in data if isinstance(row, Completion)]
    return (None, completions) if completions and len(completions) == len(data) else (data, [])


def _is_empty(data: TrainingData) -> bool:
    if isinstance(data, TeacherResponses):
        return not data.completions
    return not isinstance(data, Path | str) and not data


def _hash_inputs(
    config: TrainConfig, rows: Sequence[TrainRow], models: Sequence[Path], chat_template: str | None
) -> str:
    """Hash of student and teachers, chat template, rows and settings: a checkpoint is resumed only with the same."""
    from azdistill.students.folders import fingerprint

    settings = [resumable_settings(config), *map(fingerprint, models), repr(chat_template)]
    lines = [*settings, *(row.model_dump_json() for row in rows)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@contextmanager
def _checkpoint_folder(folder: Path | str | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
