"""What each model says to each test row, and whether it is right."""

from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.results import MODEL_ROLES, ModelRole
from azdistill.evaluation.answers import Answer, Reference, TestRow
from azdistill.tasks.task import Task


class Score(BaseModel):
    """One line of scores.jsonl: what each says (None: nothing, or not to the end), and whether it is right.

    `correct` is None where there is nothing to hold answers against.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    gold: str | None
    teacher: str | None
    baseline: str | None
    student: str | None
    correct: dict[ModelRole, bool | None]
    agrees: dict[ModelRole, bool | None]

    def says(self, who: ModelRole) -> str | None:
        said: str | None = getattr(self, who)
        return said


def reference_of(rows: Iterable[TestRow]) -> Reference:
    """Rows are held against their own reference answers, or where no row has one against the teacher's."""
    return "gold" if any(row.gold is not None for row in rows) else "teacher"


def score(row: TestRow, task: Task, reference: Reference) -> Score:
    said = {who: _says(row.answers[who], task) for who in MODEL_ROLES}
    gold = None if row.gold is None else task.answer(row.gold)
    held_against = gold if reference == "gold" else said["teacher"]
    return Score(
        id=row.id,
        gold=gold,
        **said,
        correct=_compared(said, held_against, task),
        agrees=_compared(said, said["teacher"], task),
    )


def _says(answer: Answer, task: Task) -> str | None:
    return task.answer(answer.text) if answer.whole else None


def _compared(
    said: Mapping[ModelRole, str | None], held_against: str | None, task: Task
) -> dict[ModelRole, bool | None]:
    if held_against is None:
        return dict.fromkeys(said)
    return {who: text is not None and task.correct(text, held_against) for who, text in said.items()}
