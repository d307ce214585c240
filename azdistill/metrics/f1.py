"""F1: words shared with the reference. Source: Rajpurkar et al., SQuAD (2016) and SQuAD 2 (2018)."""

from collections import Counter

from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks.qa import NO_ANSWER
from azdistill.tasks.texts import words


def score(answer: ModelAnswer) -> float | None:
    """F1 of one answer, 0 to 1: of several references, the highest. A row without a reference does not count."""
    if not answer.references:
        return None
    if answer.answer is None:
        return 0.0
    if answer.matches(answer.references):
        return 1.0
    return round(max(shared_words(answer.answer, reference) for reference in answer.references), 6)


def shared_words(answer: str, reference: str) -> float:
    """F1 of the words of two answers. "No answer" is right or wrong, and shares no word."""
    if NO_ANSWER in (answer, reference):
        return float(answer == reference)
    actual, expected = Counter(words(answer)), Counter(words(reference))
    shared = (actual & expected).total()
    return 2 * shared / (actual.total() + expected.total()) if shared else 0.0


METRIC = RowMetric(
    name="f1",
    label="F1",
    unit="score",
    score=score,
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    tasks=("qa",),
    client_names=("f1",),
)
