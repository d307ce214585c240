"""A user's own metric: one Python file with `score(answer, references)`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType

from azdistill.metrics.metric import Metric, ModelAnswer, RowMetric
from azdistill.tasks.source import METRIC_FUNCTIONS
from azdistill.tasks.user_file import call, load_module, wrong_result

MODULE = "own_metric"


def not_loaded(answer: ModelAnswer) -> float | None:
    """The score without a file: no row counts."""
    return None


# `tasks` is empty: without a file, no report shows it.
METRIC = RowMetric(
    name="own",
    label="own metric",
    unit="score",
    score=not_loaded,
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    tasks=(),
    client_names=("own",),
)


def with_own(metrics: Sequence[Metric], path: Path | None) -> list[Metric]:
    """The metrics with the one in the user's file. Raises InputError for a file that defines no metric or fails."""
    if path is None:
        return [metric for metric in metrics if metric.name != METRIC.name]
    module = load_module(path, MODULE, METRIC_FUNCTIONS)
    loaded = replace(METRIC, score=partial(score, path, module), tasks=None)
    return [loaded if metric.name == METRIC.name else metric for metric in metrics]


def score(path: Path, module: ModuleType, answer: ModelAnswer) -> float | None:
    """The score that the file gives a complete answer. Another answer scores 0. Raises InputError when it fails."""
    if not answer.complete:
        return 0.0
    arguments = (answer.final_text, answer.reference_texts)
    result = call(path, module, "score", arguments, "return 0 for such text: a model may write anything")
    if result is None:
        return None
    if isinstance(result, bool | int | float) and math.isfinite(result) and 0 <= result <= 1:
        return float(result)
    raise wrong_result(path, "score", arguments, result, "a number from 0 to 1, True, False or None")
