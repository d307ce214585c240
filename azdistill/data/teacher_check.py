"""Stop a job whose teacher is right on almost no row, before a GPU is rented: its references or prompts are wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, gold_texts
from azdistill.contracts.task import SENTENCE_TASKS
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import Task, valid_answers

# Rows with a reference: fewer prove nothing, and more would only take time.
FEWEST, MOST = 20, 1000


@dataclass(frozen=True)
class WrongAnswer:
    """A row on which the teacher is wrong, with both answers as the task reads them."""

    source: str
    answer: str | None
    reference: str


class TeacherCheck:
    """The first rows with a reference, and whether the teacher is right on them."""

    def __init__(self, config: CurateConfig, task_file: Path | None = None) -> None:
        self._config = config
        self._task = None if config.task in SENTENCE_TASKS else task_of(config.task, task_file, config.labels)
        self._rows: list[Completion] = []

    def observe(self, completions: Iterable[Completion]) -> Iterator[Completion]:
        """The completions, of which the first MOST with a reference are remembered."""
        for row in completions:
            if self._task and row.gold is not None and len(self._rows) < MOST:
                self._rows.append(row)
            yield row

    def check(self) -> None:
        """Raise DataError when the teacher's answers equal the references on too small a fraction of the rows."""
        if not self._task or len(self._rows) < FEWEST:
            return
        wrong = [row for completion in self._rows if (row := _wrong(completion, self._task))]
        right = len(self._rows) - len(wrong)
        if right >= self._config.min_teacher_accuracy * len(self._rows):
            return
        example = wrong[0]
        raise DataError(
            f"the teacher is right on {right} of {len(self._rows)} rows with a reference; on {example.source} it "
            f"answers {(example.answer or 'nothing valid')[:60]!r}, and the reference is {example.reference[:60]!r}",
            code="teacher_not_right",
            field=("curate", "min_teacher_accuracy"),
            value=self._config.min_teacher_accuracy,
            fix="correct the references, labels or task of the rows or the teacher's prompting, or set task: "
            "conversation for answers that have many right wordings",
        )


def _wrong(row: Completion, task: Task) -> WrongAnswer | None:
    """None where the answer of a row is right."""
    answer = task.answer(row.completion) if row.finish_reason == "stop" else None
    golds = valid_answers(task, gold_texts(row.gold))
    if answer is not None and any(task.correct(answer, gold) for gold in golds):
        return None
    return WrongAnswer(row.source, answer, golds[0] if golds else str(row.gold))
