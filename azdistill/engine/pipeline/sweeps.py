"""A sweep as data: what it searches, how, and for what.

Source: Azure ML's CLI v2 sweep job YAML reference, and its guide to tuning hyperparameters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from azdistill.engine.pipeline.expressions import is_expression
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.search_space import Choice, Distribution, Uniform, kind_of, number, read_space

Goal = Literal["minimize", "maximize"]
MOST_TRIALS = 1000

_SAMPLINGS = ("random", "grid", "bayesian")
_POLICIES = ("bandit", "median_stopping", "truncation_selection")
_SLACKS = ("slack_factor", "slack_amount")


@dataclass(frozen=True)
class Sampling:
    """How values are drawn here. `asked` is what Azure ML would do, where that is another way."""

    kind: Literal["random", "grid"] = "random"
    seed: int = 0
    asked: str = ""

    def __str__(self) -> str:
        return self.kind if self.kind == "grid" else f"{self.asked or self.kind}, seed {self.seed}"


@dataclass(frozen=True)
class Objective:
    """The metric that trials are compared by, as they log it."""

    metric: str
    goal: Goal

    def __str__(self) -> str:
        return f"{self.goal} {self.metric}"


@dataclass(frozen=True)
class Policy:
    """When a trial is ended early. An interval is one value logged: the policy looks at every multiple of
    `interval` from `delay` on. A bandit has one slack, a truncation selection a percentage."""

    kind: Literal["bandit", "median_stopping", "truncation_selection"]
    interval: int = 1
    delay: int = 0
    slack_factor: float | None = None
    slack_amount: float | None = None
    percentage: int = 0

    def __str__(self) -> str:
        numbers = {"slack_factor": self.slack_factor, "slack_amount": self.slack_amount, "%": self.percentage or None}
        numbers |= {"every": self.interval, "from": self.delay}
        return " ".join([self.kind, *(f"{name} {value:g}" for name, value in numbers.items() if value is not None)])


@dataclass(frozen=True)
class Limits:
    """How many trials, how many of them side by side (None: as many as can), and seconds for all and for one."""

    trials: int = MOST_TRIALS
    concurrent: int | None = None
    timeout: float | None = None
    trial_timeout: float | None = None

    def __str__(self) -> str:
        rest = {"side by side": self.concurrent, "s in all": self.timeout, "s each": self.trial_timeout}
        return ", ".join([f"{self.trials} trials", *(f"{n:g} {unit}" for unit, n in rest.items() if n is not None)])


@dataclass(frozen=True)
class Sweep:
    """A sweep job, less its trial, which is the node's component."""

    space: Mapping[str, Distribution]
    sampling: Sampling
    objective: Objective
    policy: Policy | None
    limits: Limits

    def definition(self) -> Iterator[tuple[str, str]]:
        """Label and text of all that the result depends on, beside the trial."""
        yield from ((f"search_space.{name}", str(one)) for name, one in self.space.items())
        yield "sampling_algorithm", str(self.sampling)
        yield "objective", str(self.objective)
        yield "early_termination", str(self.policy or "none")
        yield "limits", str(self.limits)


def read_sweep(part: Part) -> Sweep:
    """The sweep of a job. What is wrong becomes findings, and has a default here."""
    space = read_space(part.at("search_space"))
    _check_sampled(part, space)
    return Sweep(
        space=space,
        sampling=_sampling(part.at("sampling_algorithm")),
        objective=_objective(part.at("objective")),
        policy=_policy(part.at("early_termination")),
        limits=_limits(part.at("limits")),
    )


def _sampling_kind(part: Part) -> str:
    given = kind_of(part) if isinstance(part.value, Mapping) else str(part.value or "random").lower()
    return given if given in _SAMPLINGS else ""


def _sampling(part: Part) -> Sampling:
    kind = _sampling_kind(part)
    if not kind:
        at = part.at("type") if isinstance(part.value, Mapping) else part
        at.error(f"expected one of {', '.join(_SAMPLINGS)}")
    if kind == "grid":
        return Sampling("grid")
    asked = kind if kind == "bayesian" else _rule(part)
    if asked:
        part.warning(f"{asked} sampling is Azure ML's own; here values are drawn at random", None, "local")
    return Sampling("random", _whole(part.at("seed"), None) or 0, asked)


def _rule(part: Part) -> str:
    """`sobol`, or nothing for the plain rule."""
    rule = part.at("rule")
    given = str(rule.value or "random").lower()
    if given not in ("random", "sobol"):
        rule.error("expected one of random, sobol")
    return "sobol" if given == "sobol" else ""


def _check_sampled(part: Part, space: Mapping[str, Distribution]) -> None:
    """A grid has no end between two numbers; bayesian sampling is documented for three distributions."""
    kind = _sampling_kind(part.at("sampling_algorithm"))
    for name, found in space.items():
        at = part.at("search_space", name, "type")
        plain = isinstance(found, Choice) or (isinstance(found, Uniform) and not found.log)
        if kind == "grid" and not isinstance(found, Choice):
            at.error("a grid takes choice only; write a choice, or sampling_algorithm: random")
        elif kind == "bayesian" and not plain:
            at.error("bayesian sampling takes choice, uniform and quniform only; write sampling_algorithm: random")


def _objective(part: Part) -> Objective:
    metric = part.at("primary_metric")
    if not part.mapping().get("primary_metric"):
        metric.error("required: the name of a metric as the trial logs it")
    goal = part.at("goal")
    given = str(goal.value).lower()
    if given not in ("minimize", "maximize"):
        goal.error("expected one of minimize, maximize")
    return Objective(metric.text() or "", "maximize" if given == "maximize" else "minimize")


def _policy(part: Part) -> Policy | None:
    if part.value is None:
        return None
    kind = part.at("type")
    known = {name.replace("_", ""): name for name in _POLICIES}
    found = known.get(kind_of(part).replace("_", ""))
    if not found:
        kind.error(f"expected one of {', '.join(_POLICIES)}")
        return None
    interval = _whole(part.at("evaluation_interval"), 0) or 1  # Azure ML takes 0 for its default
    delay = _whole(part.at("delay_evaluation"), 0) or 0
    if found == "bandit":
        return _bandit(part, interval, delay)
    if found == "median_stopping":
        return Policy("median_stopping", interval, delay)
    return Policy("truncation_selection", interval, delay, percentage=_percentage(part.at("truncation_percentage")))


def _bandit(part: Part, interval: int, delay: int) -> Policy:
    given = {name: number(part.at(name)) for name in _SLACKS if part.value.get(name)}
    if len(given) != 1:
        part.error(f"a bandit has one of {' and '.join(_SLACKS)}, of more than 0", value=None)
    for name, value in given.items():
        if value is not None and value <= 0:
            part.at(name).error("expected more than 0")
    return Policy("bandit", interval, delay, given.get("slack_factor"), given.get("slack_amount"))


def _percentage(part: Part) -> int:
    found = _whole(part, 1, 99)
    if part.value is None:
        part.error("required: an integer from 1 to 99")
    return found or 1


def _limits(part: Part) -> Limits:
    trials = part.at("max_total_trials")
    part.mapping()
    if trials.value is None:
        trials.error(f"required: an integer from 1 to {MOST_TRIALS}")
    return Limits(
        _whole(trials, 1, MOST_TRIALS) or MOST_TRIALS,
        _whole(part.at("max_concurrent_trials"), 1, MOST_TRIALS),
        _whole(part.at("timeout"), 1),
        _whole(part.at("trial_timeout"), 1),
    )


def _whole(part: Part, least: int | None, most: int | None = None) -> int | None:
    """An integer within bounds, None where none is given or it is none, which is told."""
    raw = part.value
    if raw is None:
        return None
    span = "" if least is None else f" of at least {least}" if most is None else f" from {least} to {most}"
    if isinstance(raw, str) and is_expression(raw):
        part.error(f"Azure ML fills it in; write an integer{span} for a run here", "local")
        return None
    outside = isinstance(raw, int) and ((least is not None and raw < least) or (most is not None and raw > most))
    if isinstance(raw, bool) or not isinstance(raw, int) or outside:
        part.error(f"expected an integer{span}")
        return None
    return raw
