"""Extract the answers of each test row and score them with every row metric."""

from collections.abc import Iterable, Sequence

from azdistill.contracts.results import MODEL_ROLES, ModelRole, ReferenceSource, RowScores
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks.task import Task

AnswersByModel = dict[ModelRole, ModelAnswer]


def reference_source(rows: Iterable[EvaluationRow]) -> ReferenceSource:
    """Rows are compared with their reference answers, or with the teacher's answers where no row has a reference."""
    return "gold" if any(row.gold is not None for row in rows) else "teacher"


def extract(row: EvaluationRow, task: Task, source: ReferenceSource) -> AnswersByModel:
    """Each model's answer to a row, with the reference it is compared with."""
    answers = {role: _extract_complete(row.answers[role], task) for role in MODEL_ROLES}
    if source == "teacher":
        reference, reference_text = answers["teacher"], row.answers["teacher"].text
    else:
        reference, reference_text = _gold(row, task), row.gold or ""
    return {
        role: ModelAnswer(row.answers[role].text, answers[role], reference_text, reference, answers["teacher"], task)
        for role in MODEL_ROLES
    }


def score(row: EvaluationRow, answers: AnswersByModel, task: Task, metrics: Sequence[RowMetric]) -> RowScores:
    """The line of scores.jsonl for a row."""
    return RowScores(
        id=row.id,
        gold=_gold(row, task),
        answers={role: answers[role].answer for role in MODEL_ROLES},
        scores={metric.name: {role: metric.score(answers[role]) for role in MODEL_ROLES} for metric in metrics},
    )


def _extract_complete(answer: AnswerText, task: Task) -> str | None:
    return task.answer(answer.text) if answer.complete else None


def _gold(row: EvaluationRow, task: Task) -> str | None:
    return None if row.gold is None else task.answer(row.gold)
