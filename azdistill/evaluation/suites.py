"""Student and baseline on the rows of the regression suites."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import RowScores, SuiteMetrics, SuiteRowScores
from azdistill.contracts.rows import Prediction
from azdistill.contracts.suites import SuiteGate, SuiteRow
from azdistill.evaluation.answers import LocalModel, align
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.metrics import mean_interval, paired
from azdistill.evaluation.scores import extract, score
from azdistill.metrics.metric import RowMetric
from azdistill.metrics.own import with_own
from azdistill.metrics.registry import METRICS
from azdistill.metrics.suite import suite_metric
from azdistill.tasks.registry import task_of


@dataclass(frozen=True)
class SuiteEvaluation:
    """The metrics of a suite, and the scores of its rows in order."""

    metrics: SuiteMetrics
    scores: tuple[SuiteRowScores, ...]


def evaluate_suite(
    suite: SuiteGate,
    rows: Sequence[SuiteRow],
    predictions: Mapping[LocalModel, Sequence[Prediction]],
    config: EvaluateConfig,
    task_file: Path | None = None,
    metric_file: Path | None = None,
) -> SuiteEvaluation:
    """Score the answers to the rows of one suite by its metric. `rows` and `predictions` are those of all suites.

    A row without a reference does not count for a metric that needs one. Raises DataError for answers that are missing,
    InputError for a metric that the suite cannot have.
    """
    metric = suite_metric(suite.metric, suite.task, with_own(METRICS, metric_file))
    scores = _scores(suite, metric, rows, predictions, task_file)
    student, baseline = paired(scores, metric.name, "student", "baseline")
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    metrics = SuiteMetrics(
        name=suite.name,
        task=suite.task,
        metric=metric.name,
        rows=len(student),
        unscored=len(scores) - len(student),
        baseline=mean_interval(baseline, bootstrap),
        student=mean_interval(student, bootstrap),
        gain=bootstrap.gain(student, baseline),
        min_gain=suite.min_gain,
        max_gain=suite.max_gain,
    )
    return SuiteEvaluation(metrics, tuple(SuiteRowScores(**row.model_dump(), suite=suite.name) for row in scores))


def _scores(
    suite: SuiteGate,
    metric: RowMetric,
    rows: Sequence[SuiteRow],
    predictions: Mapping[LocalModel, Sequence[Prediction]],
    task_file: Path | None,
) -> list[RowScores]:
    task = task_of(suite.task, task_file, suite.label_names)
    members = [row for row in rows if row.suite == suite.name]
    ids = {row.id for row in members}
    answers = {role: [row for row in answers if row.id in ids] for role, answers in predictions.items()}
    return [score(row, extract(row, task, "gold"), task, [metric]) for row in align(members, (), answers)]
