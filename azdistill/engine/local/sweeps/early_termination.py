"""Azure ML's early termination policies: which trials are not worth going on with.

An interval is one value logged, so a trial's series of n values has had n. A policy looks at a trial at the last of
its intervals that is due, beside all trials that have come as far.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from statistics import fmean, median

from azdistill.engine.pipeline.sweeps import Goal, Policy

Series = Mapping[int, Sequence[float]]
"""The values that each trial has logged so far, in the order of steps."""


def to_end(policy: Policy, goal: Goal, series: Series, running: Collection[int]) -> dict[int, str]:
    """The trials of `running` to end now, each with the reason."""
    found = {}
    for trial in running:
        interval = _due(policy, len(series.get(trial, ())))
        if interval and (reason := _reason(policy, goal, series, trial, interval)):
            found[trial] = f"{policy.kind} at interval {interval}: {reason}"
    return found


def score(goal: Goal, value: float) -> float:
    """The more the better, whatever the goal; no number is the worst."""
    if math.isnan(value):
        return -math.inf
    return value if goal == "maximize" else -value


def _due(policy: Policy, logged: int) -> int:
    """The last interval that the policy looks at, 0 when none is yet."""
    last = logged - logged % policy.interval
    return last if last >= policy.delay else 0


def _reason(policy: Policy, goal: Goal, series: Series, trial: int, interval: int) -> str | None:
    scores = {
        other: [score(goal, value) for value in values[:interval]]
        for other, values in series.items()
        if len(values) >= interval
    }
    if policy.kind == "bandit":
        return _bandit(policy, goal, scores, trial)
    if policy.kind == "median_stopping":
        return _median_stopping(scores, trial)
    return _truncation(policy, scores, trial)


def _bandit(policy: Policy, goal: Goal, scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    own, best = max(scores[trial]), max(map(max, scores.values()))
    if own < best - _slack(policy, goal, best):
        return f"its best, {abs(own):g}, is too far from {abs(best):g}"
    return None


def _slack(policy: Policy, goal: Goal, best: float) -> float:
    """The distance from the best score that is allowed. Azure ML divides by 1 + slack_factor to maximize and
    multiplies to minimize; as a distance this holds for a metric below 0, too."""
    if policy.slack_factor is None:
        return policy.slack_amount or 0.0
    factor = policy.slack_factor
    return abs(best) * (factor / (1 + factor) if goal == "maximize" else factor)


def _median_stopping(scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    middle = median(map(fmean, scores.values()))
    return "its best is worse than the median of all averages" if max(scores[trial]) < middle else None


def _truncation(policy: Policy, scores: Mapping[int, Sequence[float]], trial: int) -> str | None:
    worst_first = sorted(scores, key=lambda other: (scores[other][-1], other))
    cut = len(worst_first) * policy.percentage // 100
    return f"among the lowest {policy.percentage} %" if trial in worst_first[:cut] else None
