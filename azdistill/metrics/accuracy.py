"""Accuracy: the fraction of rows whose answer is correct by the task's rule."""

from azdistill.metrics.metric import ModelAnswer, RowMetric


def score(answer: ModelAnswer) -> bool | None:
    """A missing or invalid answer is wrong; a row without a reference does not count."""
    return answer.matches(answer.references)


METRIC = RowMetric(
    name="accuracy",
    label="accuracy",
    unit="fraction",
    score=score,
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    client_names=("accuracy",),
)
