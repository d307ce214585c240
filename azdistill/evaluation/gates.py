"""What the student must reach, and whether it did."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.evaluation.intervals import Interval
from azdistill.evaluation.metrics import Metrics

Outcome = Literal["passed", "refused", "inconclusive"]


@dataclass(frozen=True)
class Gate:
    """One bound, and the figure and interval held against it. None: the figure is not defined."""

    name: str
    bound: float
    value: float | None
    low: float | None
    high: float | None
    outcome: Outcome


@dataclass(frozen=True)
class Decision:
    """What gate.json holds. `register` says whether the student may have a name."""

    decision: Outcome
    enforced: bool
    register: bool
    gates: tuple[Gate, ...]


def decide(metrics: Metrics, config: EvaluateConfig) -> Decision:
    """Hold the figures against the gates. The worst outcome decides; without gates a student passes."""
    figures = {
        "min_retention": metrics.retention,
        "min_gain": metrics.gain,
        "min_accuracy": metrics.models["student"].accuracy,
    }
    bounds = config.gates.model_dump(include=set(figures))
    gates = tuple(_gate(name, bounds[name], figures[name]) for name in figures if bounds[name] is not None)
    decision = _worst(gate.outcome for gate in gates)
    free = not config.enforce_gates or decision == "passed"
    measured = all(gate.value is not None for gate in gates)  # what was never measured is no close call
    accepted = decision == "inconclusive" and config.gates.accept_inconclusive and measured
    return Decision(decision, config.enforce_gates, free or accepted, gates)


def _gate(name: str, bound: float, found: Interval) -> Gate:
    return Gate(name, bound, found.value, found.low, found.high, _outcome(bound, found))


def _outcome(bound: float, found: Interval) -> Outcome:
    """The whole interval on one side of the bound decides; a bound inside it, or no figure, decides nothing."""
    if found.low is not None and found.low >= bound:
        return "passed"
    return "refused" if found.high is not None and found.high < bound else "inconclusive"


def _worst(outcomes: Iterable[Outcome]) -> Outcome:
    found = set(outcomes)
    worst_first: tuple[Outcome, ...] = ("refused", "inconclusive")
    return next((outcome for outcome in worst_first if outcome in found), "passed")
