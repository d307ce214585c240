"""Stop a job whose teacher is right on almost no row, before a GPU is rented: its references or prompts are wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, gold_texts
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import Task

# Tasks of sentences: their metrics are graded, and an exact match says nothing about the teacher.
GRADED = frozenset({"conversation", "summarization"})

# Rows with a reference: fewer prove nothing, and more would only take time.
FEWEST, MOST = 20, 1000


@dataclass(frozen=True)
class Wrong:
    """A row on which the teacher is wrong, with both answers as the task reads them."""

    source: str
    answer: str | None
    reference: str


def check_teacher(completions: Iterable[Completion], config: CurateConfig, task_file: Path | None = None) -> None:
    """Raise DataError when the teacher's answers equal the references on too small a fraction of the rows."""
    if config.task in GRADED:
        return
    task = task_of(config.task, task_file, config.labels)
    scored = [_wrong(row, task) for row in islice((row for row in completions if row.gold is not None), MOST)]
    wrong = [row for row in scored if row]
    right = len(scored) - len(wrong)
    if len(scored) < FEWEST or right >= config.min_teacher_accuracy * len(scored):
        return
    example = wrong[0]
    raise DataError(
        f"the teacher is right on {right} of {len(scored)} rows with a reference; on {example.source} it answers "
        f"{(example.answer or 'nothing valid')[:60]!r}, and the reference is {example.reference[:60]!r}",
        code="teacher_not_right",
        field=("curate", "min_teacher_accuracy"),
        value=config.min_teacher_accuracy,
        fix="correct the references, labels or task of the rows or the teacher's prompting, or set task: conversation "
        "for answers that have many right wordings",
    )


def _wrong(row: Completion, task: Task) -> Wrong | None:
    """None where the answer of a row is right."""
    answer = task.answer(row.completion) if row.finish_reason == "stop" else None
    golds = [gold for text in gold_texts(row.gold) if (gold := task.answer(text)) is not None]
    if answer is not None and any(task.correct(answer, gold) for gold in golds):
        return None
    return Wrong(row.source, answer, golds[0] if golds else str(row.gold))
