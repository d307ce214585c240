"""Evaluation of one or several models on a file of rows, outside of a job."""

from pydantic import Field

from azdistill.contracts.results import Interval, ModelMetrics, Result


class EvaluatedModel(Result):
    """One model and its metrics, by their names in `azdistill.metrics`.

    `differences` are of row metrics: the mean score minus that of the first model on the same rows, with a paired
    interval; empty for the first model. `unanswered` counts the rows that an endpoint did not answer, which are wrong.
    """

    name: str
    metrics: ModelMetrics
    differences: dict[str, Interval] = Field(default_factory=dict)
    unanswered: int = 0


class ModelEvaluation(Result):
    """Models evaluated on the same rows; the first one is the reference of the others.

    `rows` were answered: `rejected` rows of the file cannot be used, `duplicates` repeat the conversation of another
    row, and `without_reference` have no reference answer. `metrics` has the name of each metric by the name that was
    requested.
    """

    task: str
    data: str
    rows: int
    rejected: int = 0
    duplicates: int = 0
    without_reference: int = 0
    confidence: float
    metrics: dict[str, str]
    models: tuple[EvaluatedModel, ...]
