"""Compare the students of several runs on the test rows that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from azdistill.contracts.comparison import ComparedRun, RunComparison
from azdistill.contracts.errors import InputError
from azdistill.contracts.results import GateDecision, Interval, Metrics, ModelMetrics, RowScores
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.metrics import mean_interval


@dataclass(frozen=True)
class RunResults:
    """Results of one run: of steps evaluate and predict_student."""

    metrics: Metrics
    decision: GateDecision
    scores: Sequence[RowScores]
    student: ModelMetrics


def compare(runs: Mapping[str, RunResults], bootstrap: PairedBootstrap, metric: str | None = None) -> RunComparison:
    """Compare runs by name; the first one is the reference of the others. Rows with the same id are the same prompt.

    `metric` is a row metric that all runs have, by default their primary metric. Raises InputError if they have
    different ones, or if a run has no such metric.
    """
    metric = metric or _common_primary_metric(runs)
    scores = {name: _student_scores(name, run.scores, metric) for name, run in runs.items()}
    first = next(iter(runs))

    def compared(name: str) -> ComparedRun:
        run, own = runs[name], np.array(list(scores[name].values()), dtype=float)
        shared = [identity for identity in scores[name] if identity in scores[first]]
        own_shared, first_shared = (np.array([scores[of][row] for row in shared]) for of in (name, first))
        return ComparedRun(
            name=name,
            decision=run.decision.decision,
            rows=len(own),
            score=mean_interval(own, bootstrap),
            retention=run.metrics.retention,
            gain=run.metrics.gain,
            shared_rows=None if name == first else len(shared),
            difference=None if name == first else _difference(own_shared, first_shared, bootstrap),
            model=run.student,
        )

    return RunComparison(metric=metric, runs=tuple(map(compared, runs)))


def _difference(own: np.ndarray, first: np.ndarray, bootstrap: PairedBootstrap) -> Interval:
    return bootstrap.gain(own, first) if len(own) else Interval()


def _common_primary_metric(runs: Mapping[str, RunResults]) -> str:
    names = {run.metrics.primary_metric for run in runs.values()}
    if len(names) == 1:
        return names.pop()
    raise InputError(
        f"the runs have different primary metrics: {', '.join(sorted(names))}",
        code="other_metrics",
        fix=f"choose one that all runs have: --metric {' or --metric '.join(_row_metrics(runs))}",
    )


def _row_metrics(runs: Mapping[str, RunResults]) -> list[str]:
    """Names of the row metrics that all runs have."""
    names = [set(row.scores) for run in runs.values() for row in run.scores[:1]]
    return sorted(set.intersection(*names)) if names else []


def _student_scores(name: str, rows: Sequence[RowScores], metric: str) -> dict[str, float]:
    """Scores of the student by the id of the row, of the rows that count."""
    if rows and metric not in rows[0].scores:
        raise InputError(
            f"no metric {metric!r} of single rows",
            subject=f"run {name}",
            code="unknown_metric",
            fix=f"choose one of {', '.join(rows[0].scores)}",
        )
    scores = {row.id: row.score(metric, "student") for row in rows}
    return {identity: score for identity, score in scores.items() if score is not None}
