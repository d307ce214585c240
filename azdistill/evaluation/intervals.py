"""Values with confidence intervals."""

import itertools
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from azdistill.contracts.results import Interval

# Shape (rows,): the score of a model on each row, 0 to 1; 0 or 1 for a metric that is right or wrong.
Scores = NDArray[np.float64]

# Prior weight of each extreme outcome (every combination of scores 0 and 1). Without it a dozen rows that happen to
# agree would give an interval of no width.
JEFFREYS = 0.5

# The same for graded scores, which vary less than right or wrong: with JEFFREYS the intervals of 100 rows are too wide.
GRADED_PRIOR = 0.2

# Probability with which a difference is detected: the usual power of a test.
POWER = 0.8

# Graded scores are resampled in this many cells, so that the cost depends on the cells and not on the rows. A cell has
# the mean of its scores: the mean of all is exact, and their variance is too small by at most 1 / (12 * CELLS ** 2).
CELLS = 25


def wilson(correct: int, rows: int, confidence: float) -> Interval:
    """A proportion with its score interval. Source: Wilson (1927), as in scipy."""
    from scipy.stats import binomtest

    if not rows:
        return Interval()
    bounds = binomtest(correct, rows).proportion_ci(confidence, method="wilson")
    return interval(correct / rows, float(bounds.low), float(bounds.high))


def interval(value: float, low: float, high: float) -> Interval:
    """Round to 6 decimals, because the last digits differ between processors. The interval includes the value."""
    return Interval(value=round(value, 6), low=round(min(low, value), 6), high=round(max(high, value), 6))


def detectable_difference(difference: Interval, confidence: float) -> float | None:
    """The smallest true difference that rows like these would show with a probability of POWER.

    `difference` is an estimate with its two-sided interval, from which the standard error is read. Source: Card et al.,
    With Little Power Comes Great Responsibility (2020).
    """
    if difference.low is None or difference.high is None:
        return None
    z, z_power = NormalDist().inv_cdf(0.5 + confidence / 2), NormalDist().inv_cdf(POWER)
    return round((difference.high - difference.low) / 2 / z * (z + z_power), 6)


class PairedBootstrap:
    """Intervals of means and of comparisons of two models on the same rows, by the Bayesian bootstrap.

    A resample reweighs the outcomes of the rows (for two models that are right or wrong: both, one, the other,
    neither) by a draw from their Dirichlet posterior, so the two models keep what they share.
    Costs the same for any number of rows. Source: Rubin (1981), with Jeffreys' prior for right or wrong.
    """

    def __init__(self, seed: int, resamples: int, confidence: float) -> None:
        self.seed, self.resamples, self.confidence = seed, resamples, confidence

    def mean(self, scores: Scores) -> Interval:
        """Mean of the scores of one model, 0 to 1."""
        return self._interval(lambda mean: mean, scores)

    def gain(self, model: Scores, reference: Scores) -> Interval:
        """Mean score of `model` minus that of `reference`, -1 to 1."""
        return self._interval(np.subtract, model, reference)

    def retention(self, model: Scores, reference: Scores) -> Interval:
        """Mean score of `model` divided by that of `reference`; empty when `reference` only scores 0."""
        return self._interval(np.divide, model, reference) if reference.any() else Interval()

    def _interval(self, statistic: Callable[..., Scores], *models: Scores) -> Interval:
        """`statistic` of the models' means, with its interval over the resamples."""
        rows = np.column_stack(models).astype(float)
        if not len(rows):
            return Interval()
        extremes = np.array(list(itertools.product((0.0, 1.0), repeat=len(models))))
        outcomes, weights = _outcomes(np.vstack([extremes, rows]))
        prior = JEFFREYS if np.isin(rows, (0, 1)).all() else GRADED_PRIOR
        weights[np.isin(outcomes, (0, 1)).all(axis=1)] += prior - 1
        means = np.random.default_rng(self.seed).dirichlet(weights, self.resamples) @ outcomes
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(statistic(*means.T), [tail, 1 - tail])
        return interval(float(statistic(*rows.mean(axis=0))), float(low), float(high))


def _outcomes(rows: Scores) -> tuple[Scores, Scores]:
    """Different outcomes of rows, shape (outcomes, models), and how often each occurs. Scores of 0 and 1 are exact."""
    cells = np.where(rows == 0, -1, np.where(rows == 1, CELLS + 1, np.rint(rows * CELLS)))
    _, cell, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    means = [np.bincount(cell.ravel(), weights=scores) / counts for scores in rows.T]
    return np.column_stack(means), counts.astype(float)
