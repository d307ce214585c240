"""ROUGE-1, ROUGE-2 and ROUGE-L of each row."""

from functools import partial

from azdistill.contracts.task import TaskChoice
from azdistill.metrics.metric import ModelAnswer, RowMetric
from azdistill.tasks.rouge import KINDS, rouge

TASKS: tuple[TaskChoice, ...] = ("summarization", "own")


def score(kind: str, answer: ModelAnswer) -> float | None:
    """F1 of one answer, 0 to 1. A row without a reference does not count."""
    return rouge(answer.final_text, answer.reference_texts)[kind] if answer.references else None


METRICS = tuple(
    RowMetric(
        name=kind,
        label=kind.replace("rouge", "ROUGE-"),
        unit="score",
        score=partial(score, kind),
        higher_is_better=True,
        compared_with="teacher",
        on_console=kind == "rougeL",
        tasks=TASKS,
        client_names=(kind,),
    )
    for kind in KINDS
)
