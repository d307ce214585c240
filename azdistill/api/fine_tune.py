"""Stage two: a student that has learned the teacher's answers."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.api.generate import TeacherResponses
from azdistill.api.inputs import Rows, named_task, validated
from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.files import read_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Completion, Message, Reject, TrainRow
from azdistill.contracts.train import STEP, TrainConfig

if TYPE_CHECKING:
    from azdistill.students.loading import Student
    from azdistill.training.figures import TrainingFigures

COMPLETIONS = "completions.jsonl"

Answered = TeacherResponses | Sequence[Completion] | Rows
"""What a teacher answered, or rows that end with the answer to learn."""


@dataclass(frozen=True)
class DistilledStudent:
    """A student that has learned.

    `figures` tell losses in nats a learned token, seconds, tokens a second and bytes; `history` has a point
    for each log; `drops` are the answers that were no good to learn from, with source and reason.
    """

    figures: "TrainingFigures"
    history: list[dict[str, Any]]
    drops: list[Reject]
    student: "Student"
    precision: str

    def save(self, folder: Path | str) -> Path:
        """Write safetensors, config and tokenizer, as the train step does: `azdistill chat FOLDER` talks to it."""
        from azdistill.contracts.manifest import close_folder, open_folder

        path = open_folder(Path(folder))
        self.student.save(path, self.precision)
        close_folder(path, STEP.name, {"parameters": self.figures.parameters})
        return path

    def reply(self, messages: str | Sequence[Mapping[str, str]], max_new_tokens: int = 256) -> str:
        """The student's answer to a question, or to a conversation that ends with a user turn."""
        from azdistill.generation.chat import chat_reply

        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return chat_reply(self.student, [validated(Message, turn, "messages") for turn in turns], max_new_tokens)


def fine_tune_student(
    student: Path | str,
    training: Answered,
    validation: Answered = (),
    *,
    hyperparameters: TrainConfig | Mapping[str, Any] | None = None,
    task: str = "conversation",
    checkpoints: Path | str | None = None,
) -> DistilledStudent:
    """Fine-tune the model in the folder `student` on the answers in `training`, on the GPU where there is one.

    Rows are what `generate_teacher_responses` returned, or a JSONL file or list of chat rows whose last turn
    is the answer. Answers that are cut off, empty or say nothing in `task` are left out, see `drops`.
    `hyperparameters` are the fields of a job's `training` section (learning_rate, batch_size in rows,
    num_epochs, ...). With a folder for `checkpoints` an interrupted training continues there.

    Raises DataError (an InputError) for a student or rows that can't be learned from, InputError for
    settings out of bounds.
    """
    from azdistill.data.curate import TRACE
    from azdistill.training.fine_tune import fine_tune
    from azdistill.training.setup import precision

    given = hyperparameters or {}
    config = given if isinstance(given, TrainConfig) else validated(TrainConfig, given, "hyperparameters")
    train, drops = learnable(training, task)
    held, held_drops = learnable(validation, task) if has_rows(validation) else ([], [])
    held = [row for row in held if not row.id.endswith(TRACE)]  # validation measures answers only
    with _folder(checkpoints) as folder:
        tuned = fine_tune(train, held, Path(student), config, folder, _work(config, train, Path(student)))
    return DistilledStudent(tuned.figures, tuned.history, [*drops, *held_drops], tuned.student, precision(config))


def learnable(data: Answered, task: str) -> tuple[list[TrainRow], list[Reject]]:
    """The rows to learn, and what was left out. Raises DataError when that is most of them, or all."""
    from azdistill.data.answered import answered_rows
    from azdistill.data.curate import check_drops, curate

    field, task_file = named_task(task)
    rows, completions = _as_rows(data)
    if rows is not None:
        return answered_rows(rows, validated(PrepareConfig, field, "rows"), task_file)
    config = validated(CurateConfig, field, "rows")
    curated = curate(completions, config, task_file)
    check_drops(curated, config.max_drop_ratio)
    return [*curated.train, *curated.validation], list(curated.drops)


def _as_rows(data: Answered) -> tuple[Path | Sequence[Mapping[str, Any]] | None, list[Completion]]:
    """Rows as a user writes them, or the completions of a teacher, which a run's completions.jsonl holds too."""
    if isinstance(data, TeacherResponses):
        return None, data.completions
    if isinstance(data, Path | str):
        path = Path(data)
        return (None, list(read_rows(path, Completion))) if path.name == COMPLETIONS else (path, [])
    completions = [row for row in data if isinstance(row, Completion)]
    return (None, completions) if completions else ([row for row in data if isinstance(row, Mapping)], [])


def has_rows(data: Answered) -> bool:
    return isinstance(data, Path | str) or bool(data.completions if isinstance(data, TeacherResponses) else data)


def _work(config: TrainConfig, rows: Sequence[TrainRow], student: Path) -> str:
    """What a checkpoint must be of to be continued."""
    from azdistill.students.folders import fingerprint

    told = "\n".join([repr(config), fingerprint(student), *(row.model_dump_json() for row in rows)])
    return hashlib.sha256(told.encode()).hexdigest()


@contextmanager
def _folder(given: Path | str | None) -> Iterator[Path]:
    if given is not None:
        yield Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
