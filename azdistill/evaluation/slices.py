"""Scores of parts of the test rows: by columns of the user's rows, source file, turns, length, script and reference."""

import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from azdistill.contracts.results import MODEL_ROLES, ModelRole, RowScores, SliceMetrics
from azdistill.contracts.rows import Prompt
from azdistill.evaluation.intervals import PairedBootstrap, Scores, detectable_difference

# A slice with more values has no group of rows that is large enough.
MOST_VALUES = 12

# Draws of an interval are at least this many times the inverse of its tail, so that its bounds are no extremes; at most
# MOST_RESAMPLES, for the time.
DRAWS_PER_TAIL, MOST_RESAMPLES = 50, 20_000

QUARTILES = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Slice:
    """One group of test rows: those whose property `name` is `value`."""

    name: str
    value: str
    rows: tuple[RowScores, ...]


def slice_metrics(
    prompts: Sequence[Prompt], scores: Sequence[RowScores], metric: str, bootstrap: PairedBootstrap
) -> tuple[SliceMetrics, ...]:
    """Each slice with the scores of the three models and the student's gain over the baseline.

    The intervals are those of `corrected_for`.
    """
    slices = slices_of(prompts, scores, metric)
    corrected = corrected_for(len(slices), bootstrap)
    return tuple(_measure(group, metric, corrected) for group in slices)


def slices_of(prompts: Sequence[Prompt], scores: Sequence[RowScores], metric: str) -> list[Slice]:
    """Slices of the rows that count for `metric`, by each property of the rows that has 2 to MOST_VALUES values."""
    by_id = {row.id: row for row in _counting(scores, metric)}
    members = [prompt for prompt in prompts if prompt.id in by_id]
    slices = []
    for name, values in _properties(members, [by_id[prompt.id] for prompt in members]).items():
        distinct = sorted({value for value in values if value is not None}, key=lambda value: (len(value), value))
        if not 2 <= len(distinct) <= MOST_VALUES:
            continue
        for value in distinct:
            rows = [by_id[prompt.id] for prompt, of_row in zip(members, values, strict=True) if of_row == value]
            slices.append(Slice(name, value, tuple(rows)))
    return slices


def rows_with(
    columns: Mapping[str, str], prompts: Sequence[Prompt], scores: Sequence[RowScores]
) -> tuple[RowScores, ...]:
    """Rows with these values of their properties."""
    by_id = {row.id: row for row in scores}
    members = [prompt for prompt in prompts if prompt.id in by_id]
    rows = [by_id[prompt.id] for prompt in members]
    properties = _properties(members, rows)
    matches = [
        all(properties.get(name, [None] * len(rows))[index] == value for name, value in columns.items())
        for index in range(len(rows))
    ]
    return tuple(row for row, is_member in zip(rows, matches, strict=True) if is_member)


def _counting(scores: Sequence[RowScores], metric: str) -> tuple[RowScores, ...]:
    return tuple(row for row in scores if row.score(metric, "student") is not None)


def _properties(prompts: Sequence[Prompt], scores: Sequence[RowScores]) -> dict[str, Sequence[str | None]]:
    """Values of each property by its name, one for each row: None for a row that does not have it."""
    columns = sorted({name for prompt in prompts for name in prompt.columns})
    return {name: [prompt.columns.get(name) for prompt in prompts] for name in columns} | {
        "source": [prompt.source.rpartition(":")[0] for prompt in prompts],
        "user turns": [str(sum(message.role == "user" for message in prompt.messages)) for prompt in prompts],
        "prompt length": _quartiles([sum(len(message.content) for message in prompt.messages) for prompt in prompts]),
        "script": [script(prompt.messages[-1].content) for prompt in prompts],
        "reference": [row.gold if isinstance(row.gold, str) else None for row in scores],
    }


def script(text: str) -> str | None:
    """The script of most letters, such as LATIN, CYRILLIC or CJK; None without letters.

    Source: the first word of a letter's name in the Unicode Character Database.
    """
    names = Counter(unicodedata.name(letter, "").partition(" ")[0] for letter in text if letter.isalpha())
    return names.most_common(1)[0][0] if names else None


def _quartiles(lengths: Sequence[int]) -> list[str]:
    """The quarter of all rows that a length is in, such as `120 to 260 characters`."""
    if not lengths:
        return []
    highest = sorted({*(int(bound) for bound in np.quantile(lengths, QUARTILES)), max(lengths)})
    lowest = [min(lengths), *(bound + 1 for bound in highest[:-1])]
    names = [f"{low:,} to {high:,} characters" for low, high in zip(lowest, highest, strict=True)]
    return [names[bisect_left(highest, length)] for length in lengths]


def corrected_for(intervals: int, bootstrap: PairedBootstrap) -> PairedBootstrap:
    """A bootstrap whose intervals, of this number, hold together with the confidence of `bootstrap`.

    Source: Bonferroni (1936).
    """
    confidence = 1 - (1 - bootstrap.confidence) / max(intervals, 1)
    draws = min(round(DRAWS_PER_TAIL / ((1 - confidence) / 2)), MOST_RESAMPLES)
    return PairedBootstrap(bootstrap.seed, max(bootstrap.resamples, draws), confidence)


def _measure(group: Slice, metric: str, bootstrap: PairedBootstrap) -> SliceMetrics:
    gain = bootstrap.gain(_scores(group.rows, metric, "student"), _scores(group.rows, metric, "baseline"))
    return SliceMetrics(
        name=group.name,
        value=group.value,
        rows=len(group.rows),
        means={role: _mean(_scores(group.rows, metric, role)) for role in MODEL_ROLES},
        gain=gain,
        detectable_gain=detectable_difference(gain, bootstrap.confidence),
    )


def _scores(rows: Sequence[RowScores], metric: str, role: ModelRole) -> Scores:
    """Shape (rows,). A row without a score counts as 0."""
    return np.array([row.score(metric, role) or 0.0 for row in rows])


def _mean(scores: Scores) -> float:
    return round(float(scores.mean()), 6)
