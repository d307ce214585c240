"""Compare the student's metrics with the gates of the job."""

from collections.abc import Iterable

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import GateDecision, GateOutcome, GateResult, Interval, Metrics


def decide(metrics: Metrics, config: EvaluateConfig) -> GateDecision:
    """Compare metrics with gates. The worst outcome decides; without gates a student passes."""
    measured = {
        "min_retention": metrics.retention,
        "min_gain": metrics.gain,
        "min_accuracy": metrics.models["student"].interval("accuracy"),
    }
    bounds = config.gates.model_dump(include=set(measured))
    gates = tuple(_result(name, bounds[name], measured[name]) for name in measured if bounds[name] is not None)
    decision = _worst(gate.outcome for gate in gates)
    # A metric that is not defined is no close call: accept_inconclusive does not apply to it.
    defined = all(gate.value is not None for gate in gates)
    accepted = decision == "inconclusive" and config.gates.accept_inconclusive and defined
    return GateDecision(
        decision=decision,
        enforced=config.enforce_gates,
        register_student=decision == "passed" or accepted or not config.enforce_gates,
        gates=gates,
    )


def _result(name: str, bound: float, measured: Interval) -> GateResult:
    outcome = _outcome(bound, measured)
    return GateResult(name=name, bound=bound, **measured.model_dump(), outcome=outcome)


def _outcome(bound: float, measured: Interval) -> GateOutcome:
    """Passed or refused when the interval is on one side of the bound, inconclusive when the bound is inside it."""
    if measured.low is not None and measured.low >= bound:
        return "passed"
    return "refused" if measured.high is not None and measured.high < bound else "inconclusive"


def _worst(outcomes: Iterable[GateOutcome]) -> GateOutcome:
    present = set(outcomes)
    worst_first: tuple[GateOutcome, ...] = ("refused", "inconclusive")
    return next((outcome for outcome in worst_first if outcome in present), "passed")
