"""Extract the answers of each test row and score them with every row metric."""

from collections.abc import Iterable, Sequence

from azdistill.contracts.results import MODEL_ROLES, ModelRole, ReferenceSource, RowScores
from azdistill.contracts.rows import Gold, gold_texts
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks.task import Task, valid_answers
from azdistill.tasks.texts import without_reasoning

AnswersByModel = dict[ModelRole, ModelAnswer]


def reference_source(rows: Iterable[EvaluationRow]) -> ReferenceSource:
    """Rows are compared with their reference answers, or with the teacher's answers where no row has a reference."""
    return "gold" if any(row.gold is not None for row in rows) else "teacher"


def extract(row: EvaluationRow, task: Task, source: ReferenceSource) -> AnswersByModel:
    """Each model's answer to a row, with the reference it is compared with."""
    answers = {role: _extract_complete(row.answers[role], task) for role in MODEL_ROLES}
    texts = gold_texts(row.gold) if source == "gold" else (row.answers["teacher"].text,)
    extracted = _extract_all(texts, task) if source == "gold" else (answers["teacher"],)
    references = tuple(reference for reference in extracted if reference is not None)
    reference_texts = tuple(without_reasoning(text) for text in texts)
    return {
        role: ModelAnswer(
            text=row.answers[role].text,
            complete=row.answers[role].complete,
            answer=answers[role],
            reference_texts=reference_texts,
            references=references,
            teacher_answer=answers["teacher"],
            task=task,
            judge_score=(row.judged or {}).get(role),
            reference_nll=row.answers[role].reference_nll,
            reference_tokens=row.answers[role].reference_tokens,
        )
        for role in MODEL_ROLES
    }


def score(row: EvaluationRow, answers: AnswersByModel, task: Task, metrics: Sequence[RowMetric]) -> RowScores:
    """The line of scores.jsonl for a row."""
    return RowScores(
        id=row.id,
        gold=_one_or_several(_extract_all(gold_texts(row.gold), task)),
        answers={role: answers[role].answer for role in MODEL_ROLES},
        scores={metric.name: {role: metric.score(answers[role]) for role in MODEL_ROLES} for metric in metrics},
    )


def _extract_complete(answer: AnswerText, task: Task) -> str | None:
    return task.answer(answer.text) if answer.complete else None


def _extract_all(texts: Iterable[str], task: Task) -> tuple[str, ...]:
    """The different valid answers in reference texts."""
    return tuple(dict.fromkeys(valid_answers(task, texts)))


def _one_or_several(answers: tuple[str, ...]) -> Gold | None:
    return answers if len(answers) > 1 else next(iter(answers), None)
