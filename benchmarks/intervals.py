"""Time of the bootstrap, coverage of the intervals, verdicts of the scorers, and accessibility of the report."""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from azdistill.contracts.results import Interval
from azdistill.evaluation.intervals import PairedBootstrap, Scores
from azdistill.evaluation.metrics import mean_interval
from benchmarks.figures import Figures

SEED, ROWS, DRAWS = 0, 100_000, 10_000
CONFIDENCE, SIMULATIONS, SIMULATED_ROWS, RESAMPLES, POPULATION = 0.95, 4000, (100, 500), 1000, 200_000


def populations() -> dict[str, Scores]:
    """Scores of a student and of the model that it is compared with, shape (POPULATION, 2), by name. The two share how
    hard a row is."""
    rng = np.random.default_rng(SEED)
    hard = rng.beta(2, 2, POPULATION)

    def right(student: float, other: float) -> Scores:
        shares = np.column_stack([hard ** (1 / student - 1), hard ** (1 / other - 1)])
        return (rng.random((POPULATION, 2)) < shares).astype(float)

    def graded(spread: float) -> Scores:
        """Beta distributed around what a row allows; the smaller `spread`, the more scores are near 0 and 1."""
        means = np.column_stack([0.15 + 0.8 * hard, 0.05 + 0.7 * hard])
        return rng.beta(means * spread, (1 - means) * spread)

    partial = graded(5.0)
    zero = rng.random((POPULATION, 2)) < (0.6, 0.7)
    return {
        "right or wrong, .6 and .5": right(0.6, 0.5),
        "right or wrong, .9 and .8": right(0.9, 0.8),
        "graded, like chrF": graded(20.0),
        "graded, wide": graded(3.0),
        "graded, near 0 and 1": graded(0.5),
        "graded, 3 of 5 are 0": np.where(zero, 0.0, partial),
        "graded, half are 1": np.where(rng.random((POPULATION, 2)) < (0.55, 0.45), 1.0, partial),
    }


# The intervals of a report, and the true value of each.
INTERVALS: Mapping[
    str, tuple[Callable[[PairedBootstrap, Scores, Scores], Interval], Callable[[float, float], float]]
] = {
    "mean": (lambda bootstrap, student, other: mean_interval(student, bootstrap), lambda student, other: student),
    "gain": (lambda bootstrap, student, other: bootstrap.gain(student, other), lambda student, other: student - other),
    "retention": (
        lambda bootstrap, student, other: bootstrap.retention(student, other),
        lambda student, other: student / other,
    ),
}


def covered(population: str, rows: int) -> dict[str, float]:
    """Fractions of simulated test sets whose interval has the true value, by the name of the interval."""
    scores = populations()[population]
    rng, means = np.random.default_rng(SEED), scores.mean(axis=0)
    hits = dict.fromkeys(INTERVALS, 0)
    for number in range(SIMULATIONS):
        sample = scores[rng.integers(POPULATION, size=rows)]
        bootstrap = PairedBootstrap(number, RESAMPLES, CONFIDENCE)
        for name, (measure, truth) in INTERVALS.items():
            interval = measure(bootstrap, sample[:, 0], sample[:, 1])
            assert interval.low is not None
            assert interval.high is not None
            hits[name] += interval.low <= truth(*means) <= interval.high
    return {name: count / SIMULATIONS for name, count in hits.items()}


def coverage() -> Figures:
    """Coverage at CONFIDENCE: the smallest and the largest of all populations, intervals and numbers of rows."""
    cases = list(itertools.product(populations(), SIMULATED_ROWS))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        fractions = list(pool.map(covered, *zip(*cases, strict=True)))
    print(f"{'coverage of 95% intervals':<28} {'rows':>5} " + " ".join(f"{name:>9}" for name in INTERVALS))
    for (name, rows), by_interval in zip(cases, fractions, strict=True):
        print(f"{name:<28} {rows:>5} " + " ".join(f"{100 * value:8.1f}%" for value in by_interval.values()))
    every = [value for by_interval in fractions for value in by_interval.values()]
    return {"interval_coverage_min": min(every), "interval_coverage_max": max(every)}


def bootstrap() -> Figures:
    """Seconds for mean, gain and retention of 100,000 rows with 10,000 draws: the slower of boolean and graded."""
    rng, seconds = np.random.default_rng(SEED), []
    for scores in (rng.random((ROWS, 2)), (rng.random((ROWS, 2)) < (0.8, 0.7)).astype(float)):
        started, paired = time.perf_counter(), PairedBootstrap(SEED, DRAWS, CONFIDENCE)
        mean_interval(scores[:, 0], paired)
        paired.gain(scores[:, 0], scores[:, 1])
        paired.retention(scores[:, 0], scores[:, 1])
        seconds.append(time.perf_counter() - started)
    return {"bootstrap_100k_s": max(seconds)}


def scorers() -> Figures:
    """Cases of tests/metrics/cases.jsonl, and those with the right verdict."""
    from tests.metrics.test_cases import CASES, verdict

    return {"scorer_cases_right": sum(verdict(case) is case["right"] for case in CASES), "scorer_cases": len(CASES)}


def accessibility() -> Figures:
    """Pages of the report on which axe-core has a finding. No figure without Chromium, Playwright and axe-core."""
    options = ["-q", "-n", "0", "-rf", "--with", "browser", "-m", "browser", "-k", "axe"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/browser"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    print("\n".join(lines[-1:]))
    failed = sum(line.startswith("FAILED") for line in lines)
    return {"axe_serious": failed} if done.returncode in (0, 1) else {}
