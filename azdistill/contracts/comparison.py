"""Comparison of several runs on the test rows that they share."""

from azdistill.contracts.results import GateOutcome, Interval, ModelMetrics, Result


class ComparedRun(Result):
    """The student of one run.

    `score` is its value of the compared metric, `rows` the test rows that count for it. `difference` is its mean score
    minus that of the first run on the `shared_rows` test rows of both, of which `different_answers` have other answers.
    These are None for the first run. `model` are the metrics and the profile of the student.
    """

    name: str
    decision: GateOutcome
    rows: int
    score: Interval
    retention: Interval
    gain: Interval
    shared_rows: int | None = None
    different_answers: int | None = None
    difference: Interval | None = None
    model: ModelMetrics


class RunComparison(Result):
    """Runs compared by one row metric. Retention and gain are those of each run's own primary metric."""

    metric: str
    runs: tuple[ComparedRun, ...]
