"""Early termination policies, with the figures of Azure ML's guide where it gives them."""

import math
from typing import Any

import pytest

from azdistill.engine.local.sweeps.early_termination import trials_to_end
from azdistill.engine.pipeline.sweeps import Goal, Policy


def ended(policy: Policy, goal: Goal, *series: list[float], running: Any = None) -> set[int]:
    """The trials that are ended, counted from 1."""
    numbered = dict(enumerate(series, 1))
    return set(trials_to_end(policy, goal, numbered, numbered if running is None else running))


@pytest.mark.parametrize(("value", "expected"), [(0.67, set()), (0.66, {2})])
def test_a_bandit_of_slack_factor_a_fifth_allows_two_thirds_of_an_accuracy_of_eight_tenths(
    value: float, expected: set[int]
) -> None:
    assert ended(Policy("bandit", slack_factor=0.2), "maximize", [0.8], [value]) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.96, set()), (0.97, {2})])
def test_a_bandit_that_minimizes_allows_a_fifth_more(value: float, expected: set[int]) -> None:
    assert ended(Policy("bandit", slack_factor=0.2), "minimize", [0.8], [value]) == expected


@pytest.mark.parametrize("goal", ["minimize", "maximize"])
def test_a_bandit_never_ends_the_best_trial_whatever_the_sign(goal: Goal) -> None:
    best, worst = (-3.0, -1.0) if goal == "minimize" else (-1.0, -3.0)
    assert ended(Policy("bandit", slack_factor=0.1), goal, [best], [worst]) == {2}


def test_a_bandit_with_slack_amount_measures_the_distance() -> None:
    policy = Policy("bandit", slack_amount=0.5)
    assert ended(policy, "minimize", [1.0], [1.5], [1.6]) == {3}
    assert ended(policy, "maximize", [1.0], [0.5], [0.4]) == {3}


def test_a_bandit_takes_the_best_of_a_trial_up_to_the_interval() -> None:
    assert ended(Policy("bandit", slack_amount=0.1), "maximize", [0.2, 0.9], [0.9, 0.1]) == set()
    assert ended(Policy("bandit", slack_amount=0.1), "maximize", [0.9, 0.1], [0.2, 0.3]) == {2}


def test_a_trial_is_compared_with_what_the_others_had_at_its_interval() -> None:
    """The second is far ahead in time, and was no better then."""
    policy = Policy("bandit", slack_amount=0.1)
    assert ended(policy, "maximize", [0.3, 0.4], [0.3, 0.4, 0.8, 0.9]) == set()
    assert ended(policy, "maximize", [0.3, 0.4, 0.4], [0.3, 0.4, 0.8]) == {1}


@pytest.mark.parametrize(("logged", "is_evaluated"), [(1, False), (4, False), (5, False), (6, True), (7, True)])
def test_the_policy_evaluates_every_multiple_of_the_interval_after_the_delay(logged: int, is_evaluated: bool) -> None:
    policy = Policy("bandit", interval=3, delay=5, slack_amount=0.1)
    assert ended(policy, "maximize", [0.9] * 9, [0.1] * logged) == ({2} if is_evaluated else set())


def test_median_stopping_compares_the_best_with_the_median_of_the_averages() -> None:
    policy = Policy("median_stopping")
    assert ended(policy, "maximize", [0.6, 0.8], [0.5, 0.7], [0.1, 0.5]) == {3}  # averages .7, .6, .3
    assert ended(policy, "minimize", [0.6, 0.8], [0.5, 0.7], [0.1, 0.5]) == set()
    assert ended(policy, "minimize", [0.8, 0.7], [0.5, 0.7], [0.1, 0.5]) == {1}  # .7 is worse than .6


@pytest.mark.parametrize(("percentage", "expected"), [(20, {4}), (39, {4}), (40, {4, 2}), (99, {4, 2, 5, 3})])
def test_truncation_selection_ends_the_lowest_percentage(percentage: int, expected: set[int]) -> None:
    policy = Policy("truncation_selection", percentage=percentage)
    assert ended(policy, "maximize", [0.9], [0.2], [0.8], [0.1], [0.5]) == expected


def test_a_finished_trial_is_compared_and_not_ended() -> None:
    policy = Policy("bandit", slack_amount=0.1)
    assert ended(policy, "maximize", [0.9], [0.1], [0.2], running=[3]) == {3}


def test_a_single_trial_or_one_without_a_value_continues() -> None:
    for policy in (
        Policy("bandit", slack_factor=0.1),
        Policy("median_stopping"),
        Policy("truncation_selection", percentage=50),
    ):
        assert ended(policy, "minimize", [3.0]) == set()
        assert ended(policy, "minimize", [3.0], []) == set()


def test_nan_is_the_worst() -> None:
    assert ended(Policy("bandit", slack_amount=0.1), "minimize", [3.0], [math.nan]) == {2}


def test_the_reason_names_policy_interval_and_values() -> None:
    reasons = trials_to_end(Policy("bandit", slack_amount=0.1), "minimize", {1: [0.3], 2: [0.9]}, [1, 2])
    assert reasons == {2: "bandit at interval 1: its best value, 0.9, is too far from 0.3"}
