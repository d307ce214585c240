"""Confusion matrix of a task whose answers are a few labels."""

from collections import Counter
from collections.abc import Sequence

from azdistill.contracts.results import RowScores
from azdistill.reporting.report import Confusion

# References that are more than this are no labels.
MOST_LABELS = 10

OTHER, NO_ANSWER = "another answer", "no answer"


def confusion(scores: Sequence[RowScores]) -> Confusion | None:
    """Rows by reference and student's answer. None where the references are no labels, which occur several times."""
    rows = [(row.gold, row.answers["student"]) for row in scores if isinstance(row.gold, str)]
    labels = sorted({reference for reference, _ in rows})
    if not 2 <= len(labels) <= min(MOST_LABELS, len(rows) // 2):
        return None
    counts = Counter((reference, _column(answer, labels)) for reference, answer in rows)
    answers = [*labels, *(name for name in (OTHER, NO_ANSWER) if any(column == name for _, column in counts))]
    return Confusion(
        labels=tuple(labels),
        answers=tuple(answers),
        counts=tuple(tuple(counts[label, answer] for answer in answers) for label in labels),
    )


def _column(answer: str | None, labels: Sequence[str]) -> str:
    if answer is None:
        return NO_ANSWER
    return answer if answer in labels else OTHER
