"""Table of the evaluation of one or several models on the same rows."""

from azdistill.contracts.evaluation import EvaluatedModel, ModelEvaluation
from azdistill.metrics.registry import metric_named
from azdistill.reporting.comparison import direction
from azdistill.reporting.figures import format_metric, ratio_interval

Row = tuple[str, ...]


def evaluation_table(evaluation: ModelEvaluation) -> tuple[Row, list[Row]]:
    """Headings, and a row for each metric with a cell for each model; below a row metric, the differences."""
    rows = []
    for requested, name in evaluation.metrics.items():
        metric = metric_named(name)
        rows.append((requested, *(format_metric(metric, model.metrics.get(name)) for model in evaluation.models)))
        if any(name in model.differences for model in evaluation.models):
            rows.append(
                ("  difference", *(_difference(model, name, metric.higher_is_better) for model in evaluation.models))
            )
    return ("", *(model.name for model in evaluation.models)), rows


def notes(evaluation: ModelEvaluation) -> list[str]:
    """Sentences about the rows that the figures are of."""
    left_out = {
        "rejected": evaluation.rejected,
        "duplicates": evaluation.duplicates,
        "without a reference": evaluation.without_reference,
    }
    shown = ", ".join(f"{count:,} {label}" for label, count in left_out.items() if count)
    confidence = f"{100 * evaluation.confidence:g}%"
    first = evaluation.models[0].name
    rows = f"{evaluation.rows:,} {'row' if evaluation.rows == 1 else 'rows'} of {evaluation.data}"
    return [
        f"{rows}{f' ({shown} left out)' if shown else ''}, task {evaluation.task}; intervals at {confidence}",
        *(
            f"{model.name} did not answer {model.unanswered:,} rows, which count as wrong"
            for model in evaluation.models
            if model.unanswered
        ),
        *([f"differences from {first} are paired: all models answered the same rows"] if evaluation.models[1:] else []),
        *(["one row shows nothing about other rows: evaluate on more"] if evaluation.rows == 1 else []),
    ]


def _difference(model: EvaluatedModel, name: str, higher_is_better: bool | None) -> str:
    difference = model.differences.get(name)
    if difference is None or difference.value is None:
        return ""
    shown = ratio_interval(difference)
    if higher_is_better is None:
        return shown
    return f"{direction(difference, higher_is_better=higher_is_better)}: {shown}"
