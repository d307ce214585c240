"""Azure ML's early termination policies: which running trials to end.

An interval is one logged value: a trial with n values has had n intervals. A policy evaluates a trial at the last
interval that is due, and compares it with all trials that have reached that interval.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean, median

from azdistill.engine.pipeline.sweeps import Goal, Policy

# The values that each trial has logged so far, in the order of steps.
Series = Mapping[int, Sequence[float]]


def trials_to_end(policy: Policy, goal: Goal, series: Series, running: Collection[int]) -> dict[int, str]:
    """The trials of `running` to end now, each with the reason."""
    reasons = {}
    for trial in running:
        interval = _due_interval(policy, len(series.get(trial, ())))
        if interval and (reason := _reason(policy, goal, series, trial, interval)):
            reasons[trial] = f"{policy.kind} at interval {interval}: {reason}"
    return reasons


def score(goal: Goal, value: float) -> float:
    """Convert a value of the metric to a score: higher is better for every goal. NaN is the worst."""
    if math.isnan(value):
        return -math.inf
    return value if goal == "maximize" else -value


def _due_interval(policy: Policy, logged: int) -> int:
    """The last interval at which the policy evaluates, 0 before the first."""
    last = logged - logged % policy.interval
    return last if last >= policy.delay else 0


def _reason(policy: Policy, goal: Goal, series: Series, trial: int, interval: int) -> str | None:
    scores = {
        number: [score(goal, value) for value in values[:interval]]
        for number, values in series.items()
        if len(values) >= interval
    }
    if policy.kind == "bandit":
        return _bandit(policy, goal, scores, trial)
    if policy.kind == "median_stopping":
        return _median_stopping(scores, trial)
    return _truncation_selection(policy, scores, trial)


def _bandit(policy: Policy, goal: Goal, scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    value, best = max(scores[trial]), max(map(max, scores.values()))
    if value < best - _allowed_distance(policy, goal, best):
        return f"its best value, {abs(value):g}, is too far from {abs(best):g}"
    return None


def _allowed_distance(policy: Policy, goal: Goal, best: float) -> float:
    """The allowed distance from the best score.

    Azure ML divides by 1 + slack_factor to maximize and multiplies by it to minimize. As a distance this is right for
    negative metrics, too.
    """
    if policy.slack_factor is None:
        return policy.slack_amount or 0.0
    factor = policy.slack_factor
    return abs(best) * (factor / (1 + factor) if goal == "maximize" else factor)


def _median_stopping(scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    middle = median(map(fmean, scores.values()))
    return "its best value is worse than the median of all averages" if max(scores[trial]) < middle else None


def _truncation_selection(policy: Policy, scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    worst_first = sorted(scores, key=lambda number: (scores[number][-1], number))
    count = len(worst_first) * policy.percentage // 100
    return f"among the lowest {policy.percentage} %" if trial in worst_first[:count] else None
