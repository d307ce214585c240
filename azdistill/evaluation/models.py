"""Metrics of models that answered the same rows, outside of a job."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.evaluation import EvaluatedModel
from azdistill.contracts.results import Interval, MetricValue, ModelMetrics
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.metrics import Evaluation, evaluate, paired
from azdistill.metrics.metric import Metric, ProfileMetric
from azdistill.metrics.primary import DEFAULTS
from azdistill.metrics.registry import METRICS

NO_ANSWER = AnswerText()


def evaluate_models(
    prompts: Sequence[Prompt],
    predictions: Mapping[str, Sequence[Prediction]],
    profiles: Mapping[str, Mapping[str, MetricValue]],
    config: EvaluateConfig,
    metrics: Sequence[str],
    task_file: Path | None = None,
    metric_file: Path | None = None,
) -> list[EvaluatedModel]:
    """The `metrics` of each model by its name, and the differences from the first model.

    `predictions` are in the order of the prompts. `profiles` are measured values such as latency. Raises InputError
    for a `task_file` or `metric_file` that cannot be used or fails.
    """
    declared = _declared(metrics, config)
    first = next(iter(predictions))
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)

    def evaluated(name: str) -> EvaluatedModel:
        rows = [_row(*row) for row in zip(prompts, predictions[name], predictions[first], strict=True)]
        evaluation = evaluate(rows, config, task_file, metric_file, declared)
        measured = {**evaluation.metrics.models["student"].root, **_profile(profiles[name])}
        return EvaluatedModel(
            name=name,
            metrics=ModelMetrics({metric: measured.get(metric) for metric in metrics}),
            differences={} if name == first else _differences(evaluation, metrics, bootstrap),
        )

    return [evaluated(name) for name in predictions]


def _declared(names: Sequence[str], config: EvaluateConfig) -> list[Metric]:
    """The requested metrics, which are computed for any task, and the primary metric, which `evaluate` requires."""
    primary = DEFAULTS[config.task][0].name
    return [replace(metric, tasks=None) for metric in METRICS if metric.name in (*names, primary)]


def _profile(values: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    """The measured values that are metrics. Usage of an endpoint has counts under the names of others."""
    names = [metric.name for metric in METRICS if isinstance(metric, ProfileMetric)]
    return {name: values[name] for name in names if name in values}


def _row(prompt: Prompt, prediction: Prediction, first: Prediction) -> EvaluationRow:
    """A test row in which the model has the role of the student, and the first model that of the baseline."""
    student, baseline = map(AnswerText.of, (prediction, first))
    return EvaluationRow(prompt.id, prompt.gold, {"teacher": NO_ANSWER, "baseline": baseline, "student": student})


def _differences(evaluation: Evaluation, names: Sequence[str], bootstrap: PairedBootstrap) -> dict[str, Interval]:
    row_metrics = evaluation.scores[0].scores if evaluation.scores else {}
    return {
        name: bootstrap.gain(*paired(evaluation.scores, name, "student", "baseline"))
        for name in names
        if name in row_metrics
    }
