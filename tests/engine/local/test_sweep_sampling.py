"""Sampling of trials: the distributions that Azure ML documents, with the same values for the same seed."""

import math
from collections.abc import Mapping
from random import Random
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azdistill.engine.local.sweeps.sampling import draw, sample_trials
from azdistill.engine.pipeline.search_space import Choice, Distribution, Normal, Randint, Uniform
from azdistill.engine.pipeline.sweeps import Limits, Objective, Sampling, Sweep

SPACE = {"rate": Uniform(-6, -1, log=True), "size": Choice((8, 16, 32)), "depth": Uniform(1, 9, q=2)}


def sweep(space: Mapping[str, Distribution], trials: int, sampling: Sampling = Sampling()) -> Sweep:  # noqa: B008
    return Sweep(space, sampling, Objective("loss", "minimize"), None, Limits(trials))


def drawn(distribution: Distribution, count: int = 2000) -> list[float]:
    random = Random(0)
    return [float(draw(distribution, random)) for _ in range(count)]


def test_the_same_seed_gives_the_same_trials_and_more_trials_begin_with_them() -> None:
    first = sample_trials(sweep(SPACE, 20))
    assert first == sample_trials(sweep(SPACE, 20)) == sample_trials(sweep(SPACE, 50))[:20]
    assert first != sample_trials(sweep(SPACE, 20, Sampling(seed=1)))


def test_a_grid_has_each_combination_once_and_the_last_input_changes_first() -> None:
    space: dict[str, Distribution] = {"size": Choice((8, 16)), "name": Choice(("a", "b", "c"))}
    samples = sample_trials(sweep(space, 100, Sampling("grid")))
    assert [tuple(sample.values()) for sample in samples] == [
        (8, "a"),
        (8, "b"),
        (8, "c"),
        (16, "a"),
        (16, "b"),
        (16, "c"),
    ]
    assert sample_trials(sweep(space, 2, Sampling("grid"))) == samples[:2]


def test_no_combination_is_repeated_and_a_small_space_ends_early() -> None:
    samples = sample_trials(sweep({"depth": Randint(3), "fast": Choice((True, False, 1))}, 1000))
    assert len(samples) == len({repr(sample) for sample in samples}) == 9


@pytest.mark.parametrize(
    ("distribution", "low", "high"),
    [
        (Uniform(0.05, 0.1), 0.05, 0.1),
        (Uniform(-6, -1, log=True), math.exp(-6), math.exp(-1)),
        (Randint(5), 0, 4),
        (Uniform(0.5, 9.5, q=2), 0, 10),
    ],
)
def test_values_are_within_the_bounds_and_reach_both(distribution: Distribution, low: float, high: float) -> None:
    values = drawn(distribution)
    assert low <= min(values) < low + (high - low) / 50
    assert high >= max(values) > high - (high - low) / 50


def test_the_logarithm_of_loguniform_is_uniform() -> None:
    assert fmean(map(math.log, drawn(Uniform(-6, -1, log=True)))) == pytest.approx(-3.5, abs=0.1)


def test_normal_has_its_mean_and_deviation_and_lognormal_those_of_its_logarithm() -> None:
    for values in (drawn(Normal(10, 3)), list(map(math.log, drawn(Normal(10, 3, log=True))))):
        assert (fmean(values), pstdev(values)) == (pytest.approx(10, abs=0.2), pytest.approx(3, abs=0.2))


@given(st.sampled_from([0.1, 0.25, 0.01]), st.integers(0, 1000))
def test_a_distribution_with_q_gives_short_multiples(q: float, seed: int) -> None:
    value = draw(Uniform(0, 1, q=q), Random(seed))
    assert isinstance(value, float)
    assert value / q == pytest.approx(round(value / q))
    assert len(str(value)) <= len("0.25")


def test_an_integer_q_gives_integers() -> None:
    for distribution in (
        Uniform(1, 100, q=5),
        Normal(50, 9, q=5),
        Uniform(0, 5, log=True, q=5),
        Normal(2, 1, log=True, q=5),
    ):
        value = draw(distribution, Random(3))
        assert isinstance(value, int)
        assert value % 5 == 0


def test_a_too_large_exponent_gives_a_finite_number() -> None:
    assert math.isfinite(min(drawn(Normal(1000, 1, log=True), 3)))
