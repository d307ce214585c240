"""Intervals: compared with scipy, or by simulation."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest

from azdistill.evaluation.intervals import Interval, PairedBootstrap, wilson


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("right", "rows"), [(0, 1), (1, 1), (0, 20), (7, 20), (20, 20), (465, 500), (99_999, 100_000)])
def test_the_wilson_interval_is_that_of_scipy(right, rows, confidence):
    interval = wilson(right, rows, confidence)
    expected = binomtest(right, rows).proportion_ci(confidence, method="wilson")
    assert interval.value == pytest.approx(right / rows, abs=1e-6)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_intervals_of_no_rows_are_undefined():
    none = np.array([], dtype=bool)
    bootstrap = PairedBootstrap(0, 200, 0.95)
    assert wilson(0, 0, 0.95) == bootstrap.gain(none, none) == bootstrap.retention(none, none) == Interval()
    assert bootstrap.retention(np.ones(5, dtype=bool), np.zeros(5, dtype=bool)) == Interval()
    assert bootstrap.gain(np.ones(5, dtype=bool), np.zeros(5, dtype=bool)).value == 1


def drawn(generator, probabilities, rows):
    """Draw two arrays: model A is right on each row, and model B. Outcomes: neither, B, A, both."""
    outcomes = generator.choice(4, size=rows, p=probabilities)
    return outcomes >= 2, outcomes % 2 == 1


@pytest.mark.parametrize("rows", [50, 500])
@pytest.mark.parametrize("probabilities", [(0.1, 0.15, 0.05, 0.7), (0.3, 0.02, 0.38, 0.3)])
def test_intervals_contain_the_true_value_as_often_as_their_confidence(probabilities, rows):
    generator, bootstrap = np.random.default_rng(1), PairedBootstrap(0, 400, 0.9)
    accuracy_a, accuracy_b = probabilities[2] + probabilities[3], probabilities[1] + probabilities[3]
    truth = {"gain": accuracy_a - accuracy_b, "retention": accuracy_a / accuracy_b}
    held = dict.fromkeys(truth, 0)
    for _ in range(400):
        right_a, right_b = drawn(generator, probabilities, rows)
        for name, value in truth.items():
            interval = getattr(bootstrap, name)(right_a, right_b)
            held[name] += interval.low <= value <= interval.high
    assert {name: count / 400 for name, count in held.items()} == pytest.approx(dict.fromkeys(truth, 0.9), abs=0.05)


@pytest.mark.parametrize("rows", [100, 500])
def test_intervals_of_graded_scores_contain_the_true_value_as_often_as_their_confidence(rows):
    """The score of a row is a difficulty that both models share plus a part of their own."""
    generator, bootstrap = np.random.default_rng(2), PairedBootstrap(0, 400, 0.9)
    truth, held = {"gain": -0.15, "retention": 0.5 / 0.65}, {"gain": 0, "retention": 0}
    for _ in range(300):
        shared = generator.random(rows)
        model, reference = (mean + 0.3 * (shared - 0.5) + 0.3 * (generator.random(rows) - 0.5) for mean in (0.5, 0.65))
        for name, value in truth.items():
            interval = getattr(bootstrap, name)(model, reference)
            held[name] += interval.low <= value <= interval.high
    assert {name: count / 300 for name, count in held.items()} == pytest.approx(dict.fromkeys(truth, 0.9), abs=0.05)


def test_many_graded_rows_cost_little():
    generator, bootstrap = np.random.default_rng(3), PairedBootstrap(0, 2000, 0.95)
    model, reference = generator.random(100_000), generator.random(100_000)
    started = time.perf_counter()
    interval = bootstrap.gain(model, reference)
    assert time.perf_counter() - started < 3
    half_width = 1.96 * np.std(model - reference) / 100_000**0.5
    assert interval.value == pytest.approx(np.mean(model - reference), abs=1e-6)
    assert (interval.high - interval.low) / 2 == pytest.approx(half_width, rel=0.1)


def test_the_interval_is_narrower_for_models_that_share_their_mistakes():
    right = np.arange(200) % 10 != 0
    bootstrap = PairedBootstrap(0, 2000, 0.95)
    same = bootstrap.gain(right, right)
    shifted = bootstrap.gain(right, np.roll(right, 5))
    assert same.value == shifted.value == 0
    assert same.high - same.low < (shifted.high - shifted.low) / 3


def test_a_dozen_rows_that_agree_prove_little():
    right = np.ones(12, dtype=bool)
    interval = PairedBootstrap(0, 2000, 0.95).retention(right, right)
    assert interval.value == 1
    assert interval.low < 0.95


def test_a_seed_gives_the_same_interval_which_includes_its_value():
    right_a, right_b = drawn(np.random.default_rng(3), (0.1, 0.2, 0.1, 0.6), 100)
    first, again, other_seed = (PairedBootstrap(seed, 300, 0.95).retention(right_a, right_b) for seed in (1, 1, 2))
    assert first == again != other_seed
    assert first.value == other_seed.value
    assert first.low <= first.value <= first.high
