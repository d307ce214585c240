"""Scores of parts of the test rows: by source file, number of turns, length and reference."""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import MODEL_ROLES, Metrics, ModelRole, RowScores, SliceMetrics
from azdistill.contracts.rows import Prompt
from azdistill.evaluation.intervals import PairedBootstrap, Scores
from azdistill.evaluation.metrics import Evaluation

# A slice with more values has no group of rows that is large enough.
MOST_VALUES = 12

# Draws of an interval are at least this many times the inverse of its tail, so that its bounds are no extremes; at most
# MOST_RESAMPLES, for the time.
DRAWS_PER_TAIL, MOST_RESAMPLES = 50, 20_000

QUARTILES = (0.25, 0.5, 0.75)


def with_slices(evaluation: Evaluation, prompts: Sequence[Prompt], config: EvaluateConfig) -> Metrics:
    """The metrics of an evaluation with those of its slices, by the primary metric."""
    metrics, bootstrap = evaluation.metrics, PairedBootstrap(config.seed, config.resamples, config.confidence)
    slices = slice_metrics(prompts, evaluation.scores, metrics.primary_metric, bootstrap)
    return metrics.model_copy(update={"slices": slices})


def slice_metrics(
    prompts: Sequence[Prompt], scores: Sequence[RowScores], metric: str, bootstrap: PairedBootstrap
) -> tuple[SliceMetrics, ...]:
    """Each group of test rows with the scores of the three models and the student's gain over the baseline.

    The confidence of the intervals is corrected for their number, so that all of them hold together with that of
    `bootstrap`. Source: Bonferroni (1936).
    """
    by_id = {row.id: row for row in scores if row.score(metric, "student") is not None}
    rows = [(prompt, by_id[prompt.id]) for prompt in prompts if prompt.id in by_id]
    groups = list(_groups([prompt for prompt, _ in rows], [row for _, row in rows]))
    corrected = _corrected(bootstrap, len(groups))
    return tuple(_measure(name, value, members, metric, corrected) for name, value, members in groups)


def _groups(prompts: Sequence[Prompt], scores: Sequence[RowScores]) -> Iterator[tuple[str, str, list[RowScores]]]:
    """Name and value of each slice with its rows. A slice with a single value is all rows, and is left out."""
    values: Mapping[str, Sequence[str]] = {
        "source": [prompt.source.rpartition(":")[0] for prompt in prompts],
        "user turns": [str(sum(message.role == "user" for message in prompt.messages)) for prompt in prompts],
        "prompt length": _quartiles([sum(len(message.content) for message in prompt.messages) for prompt in prompts]),
        "reference": [row.gold if isinstance(row.gold, str) else "" for row in scores],
    }
    for name, of_rows in values.items():
        distinct = sorted(set(of_rows), key=lambda value: (len(value), value))
        if not 2 <= len(distinct) <= MOST_VALUES:
            continue
        for value in distinct:
            yield name, value, [row for row, own in zip(scores, of_rows, strict=True) if own == value]


def _quartiles(lengths: Sequence[int]) -> list[str]:
    """The quarter of all rows that a length is in, such as `120 to 260 characters`."""
    if not lengths:
        return []
    highest = sorted({*(int(bound) for bound in np.quantile(lengths, QUARTILES)), max(lengths)})
    lowest = [min(lengths), *(bound + 1 for bound in highest[:-1])]
    names = [f"{low:,} to {high:,} characters" for low, high in zip(lowest, highest, strict=True)]
    return [names[bisect_left(highest, length)] for length in lengths]


def _corrected(bootstrap: PairedBootstrap, intervals: int) -> PairedBootstrap:
    confidence = 1 - (1 - bootstrap.confidence) / max(intervals, 1)
    draws = min(round(DRAWS_PER_TAIL / ((1 - confidence) / 2)), MOST_RESAMPLES)
    return PairedBootstrap(bootstrap.seed, max(bootstrap.resamples, draws), confidence)


def _measure(name: str, value: str, rows: Sequence[RowScores], metric: str, bootstrap: PairedBootstrap) -> SliceMetrics:
    return SliceMetrics(
        name=name,
        value=value,
        rows=len(rows),
        means={role: _mean(_scores(rows, metric, role)) for role in MODEL_ROLES},
        gain=bootstrap.gain(_scores(rows, metric, "student"), _scores(rows, metric, "baseline")),
    )


def _scores(rows: Sequence[RowScores], metric: str, role: ModelRole) -> Scores:
    """Shape (rows,). A row without a score counts as 0."""
    return np.array([row.score(metric, role) or 0.0 for row in rows])


def _mean(scores: Scores) -> float:
    return round(float(scores.mean()), 6)
