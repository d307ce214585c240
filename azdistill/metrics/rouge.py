"""ROUGE: words and word pairs shared with the reference. Source: Lin (2004), computed by rouge-score."""

from functools import cache, lru_cache, partial
from typing import Any

from azdistill.contracts.task import TaskChoice
from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks.texts import words

TASKS: tuple[TaskChoice, ...] = ("summarization", "own")
LABELS = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}


class _Words:
    """Tokenizer for rouge-score, whose own deletes every letter that is not ASCII."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(LABELS), tokenizer=_Words())


@lru_cache(maxsize=8)  # the three metrics score the same row one after another
def _scores(text: str, reference: str) -> dict[str, float]:
    """F1 of each kind, 0 to 1, without stemming."""
    return {name: round(float(score.fmeasure), 6) for name, score in _scorer().score(reference, text).items()}


def score(name: str, answer: ModelAnswer) -> float | None:
    """F1 of one answer, 0 to 1. A row without a reference does not count."""
    if answer.reference is None:
        return None
    return _scores(answer.final_text, answer.reference_text)[name]


METRICS = tuple(
    RowMetric(
        name=name,
        label=label,
        unit="score",
        score=partial(score, name),
        higher_is_better=True,
        compared_with="teacher",
        on_console=name == "rougeL",
        tasks=TASKS,
        client_names=(name,),
    )
    for name, label in LABELS.items()
)
