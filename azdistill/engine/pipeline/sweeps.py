"""Read sweep jobs: search space, sampling, objective, early termination and limits.

Source: Azure ML's CLI v2 sweep job YAML reference, and its guide to tuning hyperparameters.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from azdistill.engine.pipeline.authorities import CLIENT_AND_ENGINE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.search_space import Choice, Distribution, Uniform, read_number, read_space, type_of
from azdistill.engine.pipeline.yaml_node import YamlNode, integer_of, is_unreplaced

Goal = Literal["minimize", "maximize"]
MAX_TRIALS = 1000

_SAMPLINGS = ("random", "grid", "bayesian")
_POLICIES = ("bandit", "median_stopping", "truncation_selection")
_SLACKS = ("slack_factor", "slack_amount")


@dataclass(frozen=True)
class Sampling:
    """Sampling of the local engine. `azure_kind` is what Azure ML would use instead, where that differs."""

    kind: Literal["random", "grid"] = "random"
    seed: int = 0
    azure_kind: str = ""

    def __str__(self) -> str:
        return self.kind if self.kind == "grid" else f"{self.azure_kind or self.kind}, seed {self.seed}"


@dataclass(frozen=True)
class Objective:
    """The metric that trials log and are compared by."""

    metric: str
    goal: Goal

    def __str__(self) -> str:
        return f"{self.goal} {self.metric}"


@dataclass(frozen=True)
class Policy:
    """Early termination of trials.

    It is applied after every `interval` logged values, from the `delay`-th interval on. A bandit has one slack, a
    truncation selection a percentage.
    """

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
    """Number of trials, of concurrent trials (None: as many as can run), and seconds for all trials and for one."""

    trials: int = MAX_TRIALS
    concurrent: int | None = None
    timeout: float | None = None
    trial_timeout: float | None = None

    def __str__(self) -> str:
        numbers = {"concurrent": self.concurrent, "s in total": self.timeout, "s per trial": self.trial_timeout}
        texts = (f"{number:g} {unit}" for unit, number in numbers.items() if number is not None)
        return ", ".join([f"{self.trials} trials", *texts])


@dataclass(frozen=True)
class Sweep:
    """A sweep job without its trial, which is the node's component."""

    space: Mapping[str, Distribution]
    sampling: Sampling
    objective: Objective
    policy: Policy | None
    limits: Limits

    def definition(self) -> Iterator[tuple[str, str]]:
        """Names and values, as text, of the settings that determine the results."""
        yield from ((f"search_space.{name}", str(distribution)) for name, distribution in self.space.items())
        yield "sampling_algorithm", str(self.sampling)
        yield "objective", str(self.objective)
        yield "early_termination", str(self.policy or "none")
        yield "limits", str(self.limits)


def read_sweep(job: YamlNode) -> Sweep:
    """The sweep of a job. A wrong value becomes a problem and is replaced by a default."""
    space = read_space(job.at("search_space"))
    _check_sampling(job, space)
    return Sweep(
        space=space,
        sampling=_sampling(job.at("sampling_algorithm")),
        objective=_objective(job.at("objective")),
        policy=_policy(job.at("early_termination")),
        limits=_limits(job.at("limits")),
    )


def _sampling_type(node: YamlNode) -> str:
    type = type_of(node) if isinstance(node.value, Mapping) else str("random" if node.value is None else node.value)
    type = type.lower()
    return type if type in _SAMPLINGS else ""


def _sampling(node: YamlNode) -> Sampling:
    type = _sampling_type(node)
    if not type:
        wrong = node.at("type") if isinstance(node.value, Mapping) else node
        wrong.error("invalid_choice", f"must be one of {', '.join(_SAMPLINGS)}")
    if type == "grid":
        return Sampling("grid")
    azure_kind = type if type == "bayesian" else _rule(node)
    if azure_kind:
        message = f"a local run draws values at random: only Azure ML has {azure_kind} sampling"
        node.warning("unsupported_locally", message, value=None, scope="local")
    return Sampling("random", _integer(node.at("seed"), None) or 0, azure_kind)


def _rule(node: YamlNode) -> str:
    """`sobol`, or empty for the default rule."""
    rule = node.at("rule")
    name = str("random" if rule.value is None else rule.value).lower()
    if is_unreplaced(rule, "write random or sobol for a local run"):
        return ""
    if name not in ("random", "sobol"):
        rule.error("invalid_choice", "must be one of random, sobol")
    return "sobol" if name == "sobol" else ""


def _check_sampling(job: YamlNode, space: Mapping[str, Distribution]) -> None:
    """A grid needs a finite set of values; bayesian sampling is documented for three distributions."""
    type = _sampling_type(job.at("sampling_algorithm"))
    for name, distribution in space.items():
        node = job.at("search_space", name, "type")
        is_plain = isinstance(distribution, Choice) or (isinstance(distribution, Uniform) and not distribution.log)
        if type == "grid" and not isinstance(distribution, Choice):
            fix = "write a choice, or sampling_algorithm: random"
            node.error("invalid_choice", "grid sampling requires choice", fix, refused_by=SERVICE_AND_ENGINE)
        elif type == "bayesian" and not is_plain:
            fix = "write one of these, or sampling_algorithm: random"
            message = "bayesian sampling requires choice, uniform or quniform"
            node.error("invalid_choice", message, fix, refused_by=SERVICE_AND_ENGINE)


def _objective(node: YamlNode) -> Objective:
    metric, goal = node.at("primary_metric"), node.at("goal")
    if not node.mapping().get("primary_metric"):
        authorities = SERVICE_AND_ENGINE if metric.value == "" else CLIENT_AND_ENGINE
        fix = "name a metric as the trial logs it"
        metric.error("missing_field", "required field is missing", fix, refused_by=authorities)
    name = str(goal.value).lower()
    if is_unreplaced(goal, "write minimize or maximize for a local run"):
        name = "minimize"
    if name not in ("minimize", "maximize"):
        goal.error("invalid_choice", "must be one of minimize, maximize")
    return Objective(metric.text() or "", "maximize" if name == "maximize" else "minimize")


def _policy(node: YamlNode) -> Policy | None:
    if node.value is None or is_unreplaced(node, "write a policy for a local run"):
        return None
    known = {name.replace("_", ""): name for name in _POLICIES}
    type = known.get(type_of(node).replace("_", ""))
    if not type:
        node.at("type").error("invalid_choice", f"must be one of {', '.join(_POLICIES)}")
        return None
    interval = _integer(node.at("evaluation_interval"), 0) or 1  # 0 is Azure ML's default
    delay = _integer(node.at("delay_evaluation"), 0) or 0
    if type == "bandit":
        return _bandit(node, interval, delay)
    if type == "median_stopping":
        return Policy("median_stopping", interval, delay)
    return Policy("truncation_selection", interval, delay, percentage=_percentage(node.at("truncation_percentage")))


def _bandit(node: YamlNode, interval: int, delay: int) -> Policy:
    slacks = {name: read_number(node.at(name)) for name in _SLACKS if node.value.get(name)}
    if len(slacks) != 1:
        message = f"a bandit has exactly one of {' and '.join(_SLACKS)}, greater than 0"
        node.error("missing_field", message, value=None, refused_by=SERVICE_AND_ENGINE)
    for name, value in slacks.items():
        if value is not None and value <= 0:
            node.at(name).error("out_of_range", "must be greater than 0")
    return Policy("bandit", interval, delay, slacks.get("slack_factor"), slacks.get("slack_amount"))


def _percentage(node: YamlNode) -> int:
    if node.value is None:
        node.error("missing_field", "required field is missing", "write an integer from 1 to 99")
    return _integer(node, 1, 99) or 1


def _limits(node: YamlNode) -> Limits:
    node.mapping()
    trials = node.at("max_total_trials")
    if trials.value is None:
        trials.error("missing_field", "required field is missing", f"write an integer from 1 to {MAX_TRIALS}")
    return Limits(
        _integer(trials, 1, MAX_TRIALS) or MAX_TRIALS,
        _integer(node.at("max_concurrent_trials"), 1, MAX_TRIALS),
        _integer(node.at("timeout"), 1),
        _integer(node.at("trial_timeout"), 1),
    )


def _integer(node: YamlNode, minimum: int | None, maximum: int | None = None) -> int | None:
    """An integer within bounds. None where it is absent or, with a problem, wrong."""
    if node.value is None:
        return None
    bounds = (
        "" if minimum is None else f" of at least {minimum}" if maximum is None else f" from {minimum} to {maximum}"
    )
    if is_unreplaced(node, f"write an integer{bounds} for a local run"):
        return None
    value = integer_of(node)
    if value is None:
        node.error("wrong_type", f"must be an integer{bounds}")
        return None
    if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
        node.error("out_of_range", f"must be an integer{bounds}")
        return None
    return value
