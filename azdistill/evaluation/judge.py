"""Scores of the models and agreement of the judge, from its verdicts."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from azdistill.contracts.results import Interval, ModelRole
from azdistill.contracts.verdicts import (
    HIGHEST,
    LOWEST,
    HumanAgreement,
    JudgeResults,
    JudgeSummary,
    ModelComparison,
    Reading,
    Verdict,
)
from azdistill.evaluation.answers import EvaluationRow
from azdistill.evaluation.intervals import PairedBootstrap, interval, wilson

# Points of the first answer of a comparison.
POINTS: Mapping[Reading, float] = {"first": 1.0, "tie": 0.5, "second": 0.0}

Table = NDArray[np.float64]


def with_judge_scores(
    rows: Iterable[EvaluationRow], verdicts: Iterable[Verdict], summary: JudgeSummary
) -> list[EvaluationRow]:
    """The rows with the judge's scores; without scores if too many verdicts are missing."""
    scores = judge_scores(verdicts) if summary.usable else {}
    return [replace(row, judged=scores.get(row.id, {})) for row in rows]


def judge_scores(verdicts: Iterable[Verdict]) -> dict[str, dict[ModelRole, float]]:
    """Scores from 0 to 1 by row and model, of rows that have all verdicts.

    A comparison gives its winner 1 point and both 0.5 for a tie. A model's score is the mean of its points against the
    other models. A score from 1 to 5 is mapped to 0 to 1.
    """
    by_row: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_row[verdict.id].append(verdict)
    return {
        row: _row_scores(of_row)
        for row, of_row in by_row.items()
        if all(verdict.verdict is not None for verdict in of_row)
    }


def _row_scores(verdicts: Iterable[Verdict]) -> dict[ModelRole, float]:
    points: dict[ModelRole, list[float]] = defaultdict(list)
    for verdict in verdicts:
        for model, value in zip(verdict.models, _points(verdict), strict=True):
            points[model].append(value)
    return {model: round(sum(values) / len(values), 6) for model, values in points.items()}


def _points(verdict: Verdict) -> tuple[float, ...]:
    """Points of each answer, 0 to 1."""
    if isinstance(verdict.verdict, float):
        return ((verdict.verdict - LOWEST) / (HIGHEST - LOWEST),)
    assert verdict.verdict
    first = POINTS[verdict.verdict]
    return first, 1 - first


def judge_results(
    summary: JudgeSummary, verdicts: Sequence[Verdict], labels: Sequence[Verdict], bootstrap: PairedBootstrap
) -> JudgeResults:
    """The verdicts in numbers: wins, agreement of the judge with itself and with people."""
    both = [row.readings for row in verdicts if len(row.readings) == 2 and None not in row.readings]
    return JudgeResults(
        **summary.model_dump(),
        comparisons=tuple(_comparisons(verdicts)),
        self_agreement=wilson(sum(first == second for first, second in both), len(both), bootstrap.confidence),
        human=_human_agreement(labels, bootstrap) if labels else None,
    )


def _comparisons(verdicts: Iterable[Verdict]) -> Iterator[ModelComparison]:
    counts: dict[tuple[ModelRole, ModelRole], Counter[Reading | None]] = defaultdict(Counter)
    for row in verdicts:
        if len(row.models) == 2:
            counts[row.models[0], row.models[1]][row.verdict] += 1
    for (model, against), count in counts.items():
        yield ModelComparison(
            model=model, against=against, wins=count["first"], ties=count["tie"], losses=count["second"]
        )


def _human_agreement(labels: Iterable[Verdict], bootstrap: PairedBootstrap) -> HumanAgreement:
    pairs = [(row.verdict, row.human) for row in labels if row.verdict is not None and row.human is not None]
    same = sum(judge == human for judge, human in pairs)
    return HumanAgreement(labels=len(pairs), same=same, kappa=kappa(pairs, bootstrap))


def kappa(pairs: Sequence[tuple[Reading, Reading]], bootstrap: PairedBootstrap) -> Interval:
    """Cohen's kappa of two raters with its interval by the Bayesian bootstrap of their table.

    A wrong preference is wrong; the disagreement of two scores is their squared distance. Empty where both raters give
    one and the same verdict to all answers. Sources: Cohen (1960, 1968); prior of Perks (1947), one row in total.
    """
    categories = sorted({reading for pair in pairs for reading in pair})
    if len(categories) < 2:
        return Interval()
    counts = np.zeros((len(categories), len(categories)))
    for first, second in pairs:
        counts[categories.index(first), categories.index(second)] += 1
    disagreement = _disagreement(categories)
    value = float(weighted_kappa(counts / counts.sum(), disagreement))
    posterior = np.random.default_rng(bootstrap.seed).dirichlet((counts + 1 / counts.size).ravel(), bootstrap.resamples)
    kappas = weighted_kappa(posterior.reshape(-1, *counts.shape), disagreement)
    tail = (1 - bootstrap.confidence) / 2
    low, high = np.quantile(kappas, [tail, 1 - tail])
    return interval(value, float(low), float(high))


def weighted_kappa(tables: Table, disagreement: Table) -> Table:
    """1 minus the observed disagreement divided by that of independent raters.

    `tables` are the proportions of pairs of verdicts, shape (..., categories, categories).
    """
    expected = tables.sum(axis=-1)[..., :, None] * tables.sum(axis=-2)[..., None, :]
    observed, by_chance = ((table * disagreement).sum(axis=(-2, -1)) for table in (tables, expected))
    return np.asarray(1 - observed / by_chance)


def _disagreement(categories: Sequence[Reading]) -> Table:
    """Weights of each pair of verdicts, shape (categories, categories)."""
    if isinstance(categories[0], str):
        return np.ones(2 * (len(categories),)) - np.eye(len(categories))
    scores = np.array(categories, dtype=float)
    return np.asarray((scores[:, None] - scores[None, :]) ** 2)
