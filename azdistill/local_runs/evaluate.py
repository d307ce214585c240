"""Evaluate a model on rows that are not part of its job."""

from collections.abc import Mapping
from pathlib import Path

from azdistill.contracts.errors import DataError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig


def evaluate_model(
    model: Path,
    rows: Path,
    task: str,
    labels: str | None,
    task_file: Path | None,
    metric_file: Path | None,
    config: PredictConfig,
    chat_template: str | None = None,
) -> Mapping[str, float | None]:
    """Metrics of a model on a file of rows with reference answers, under their names in report.json.

    `chat_template` replaces that of the model. Raises DataError for rows that cannot be read, or when none of them
    has a reference answer.
    """
    from azdistill.data.prepare import read_prompts
    from azdistill.evaluation.answers import AnswerText, EvaluationRow
    from azdistill.evaluation.metrics import evaluate
    from azdistill.generation.predict import predict
    from azdistill.metrics.registry import METRICS
    from azdistill.students.loading import load_student

    all_prompts, _ = read_prompts(rows, PrepareConfig.model_validate({"task": task, "labels": labels}), task_file)
    prompts = [prompt for prompt in all_prompts if prompt.gold is not None]
    if not prompts:
        raise DataError(
            "no row has a reference answer", file=rows, fix="give each row a gold, or an assistant turn at its end"
        )
    student = load_student(model, config.weights, config.seed, chat_template=chat_template)
    predictions, profile = predict(student, prompts, config)
    answered = [
        EvaluationRow(
            prompt.id,
            prompt.gold,
            {
                "teacher": AnswerText(),
                "baseline": AnswerText(),
                "student": AnswerText.of(prediction),
            },
        )
        for prompt, prediction in zip(prompts, predictions, strict=True)
    ]
    evaluated = evaluate(
        answered, EvaluateConfig.model_validate({"task": task, "labels": labels}), task_file, metric_file
    )
    metrics = evaluated.metrics.models["student"]
    return {metric.name: getattr(profile, metric.name, metrics.value(metric.name)) for metric in METRICS}
