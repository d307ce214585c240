"""Compare the students of several runs on the test rows that they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from azdistill.contracts.comparison import ComparedRun, RunComparison
from azdistill.contracts.errors import InputError
from azdistill.contracts.results import GateDecision, Interval, Metrics, ModelMetrics, RowScores
from azdistill.evaluation.intervals import PairedBootstrap


class ScoredAnswer(NamedTuple):
    """The student's answer to one row, as the task extracts it, and its score."""

    answer: str | None
    score: float


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
    answers = {name: _student_answers(name, run.scores, metric) for name, run in runs.items()}
    first = next(iter(runs))

    def compared(name: str) -> ComparedRun:
        run, student, reference = runs[name], answers[name], answers[first]
        shared = [] if name == first else [(student[row], reference[row]) for row in student if row in reference]
        return ComparedRun(
            name=name,
            decision=run.decision.decision,
            rows=len(student),
            score=run.metrics.models["student"].interval(metric),
            retention=run.metrics.retention,
            gain=run.metrics.gain,
            shared_rows=None if name == first else len(shared),
            different_answers=None if name == first else sum(one != other for one, other in shared),
            difference=None if name == first else _difference(shared, bootstrap),
            model=run.student,
        )

    return RunComparison(metric=metric, runs=tuple(map(compared, runs)))


def _difference(shared: Sequence[tuple[ScoredAnswer, ScoredAnswer]], bootstrap: PairedBootstrap) -> Interval:
    if not shared:
        return Interval()
    scores, reference_scores = np.array([[one.score, other.score] for one, other in shared]).T
    return bootstrap.gain(scores, reference_scores)


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


def _student_answers(name: str, rows: Sequence[RowScores], metric: str) -> dict[str, ScoredAnswer]:
    """Answers of the student by the id of the row, of the rows that count."""
    if rows and metric not in rows[0].scores:
        raise InputError(
            f"no metric {metric!r} of single rows",
            subject=f"run {name}",
            code="unknown_metric",
            fix=f"choose one of {', '.join(rows[0].scores)}",
        )
    scores = {row.id: (row.answers.get("student"), row.score(metric, "student")) for row in rows}
    return {row: ScoredAnswer(answer, score) for row, (answer, score) in scores.items() if score is not None}
