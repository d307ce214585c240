"""Figures with confidence intervals."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from azdistill.contracts.results import Interval

Rights = NDArray[np.bool_]
"""Shape (rows,): whether a model is right on each row."""

Floats = NDArray[np.float64]

JEFFREYS = 0.5
"""Prior weight of each of the four outcomes of a pair. Without it a dozen rows that happen to agree would
give an interval of no width, and prove anything."""


def wilson(right: int, rows: int, confidence: float) -> Interval:
    """A proportion with its score interval. Source: Wilson (1927)."""
    if not rows:
        return Interval()
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    part = right / rows
    middle = (part + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(part * (1 - part) / rows + z * z / (4 * rows * rows))
    return interval(part, middle - half, middle + half)


def interval(value: float, low: float, high: float) -> Interval:
    """Rounded, so that a last digit that differs between processors does not; the value lies in its interval."""
    return Interval(value=round(value, 6), low=round(min(low, value), 6), high=round(max(high, value), 6))


class PairedBootstrap:
    """Intervals of what compares two models on the same rows, by the Bayesian bootstrap.

    A resample reweighs the four outcomes of a pair (both right, one, the other, neither)
    by a draw from their Dirichlet posterior, so the two models keep what they share.
    Costs the same for any number of rows. Source: Rubin (1981), with Jeffreys' prior.
    """

    def __init__(self, seed: int, resamples: int, confidence: float) -> None:
        self.seed, self.resamples, self.confidence = seed, resamples, confidence

    def gain(self, model: Rights, other: Rights) -> Interval:
        """Accuracy of `model` above that of `other`, -1 to 1. Both of shape (rows,)."""
        return self._compare(model, other, np.subtract)

    def retention(self, model: Rights, other: Rights) -> Interval:
        """Accuracy of `model` as a part of that of `other`; not defined when `other` is never right."""
        return self._compare(model, other, np.divide) if other.any() else Interval()

    def _compare(self, model: Rights, other: Rights, compare: Callable[[Floats, Floats], Floats]) -> Interval:
        if not len(model):
            return Interval()
        outcomes = np.bincount(2 * model.astype(int) + other, minlength=4).astype(float)
        drawn = np.random.default_rng(self.seed).dirichlet(outcomes + JEFFREYS, self.resamples)
        drawn = np.vstack([outcomes / len(model), drawn])
        compared = compare(drawn[:, 2] + drawn[:, 3], drawn[:, 1] + drawn[:, 3])
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(compared[1:], [tail, 1 - tail])
        return interval(float(compared[0]), float(low), float(high))
