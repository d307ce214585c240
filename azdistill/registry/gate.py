"""The check before registration: a student that its gates refuse is not registered."""

from pathlib import Path

from azdistill.contracts.errors import GateRefused
from azdistill.contracts.layout import GATE_FILE, METRICS_FILE
from azdistill.contracts.results import GateDecision, GateResult, Metrics, read_result


def read_gate(evaluation: Path) -> GateDecision:
    """The gate.json of an evaluation folder. Raises GateRefused when it says not to register the student."""
    gate = read_result(evaluation / GATE_FILE, GateDecision)
    if not gate.register_student:
        failing = "; ".join(_measured(result) for result in gate.gates if result.outcome != "passed")
        fix = "see the report, then train on more rows or for longer, or change evaluate.gates"
        if truncated := read_result(evaluation / METRICS_FILE, Metrics).models["student"].many_truncated:
            fix = f"raise predict.max_new_tokens, at which {truncated:.0%} of the student's answers were cut; {fix}"
        raise GateRefused(f"the student is {gate.decision} and is not registered: {failing}", fix=fix)
    return gate


def _measured(result: GateResult) -> str:
    numbers = (result.value, result.low, result.high)
    value, low, high = ("undefined" if number is None else f"{number:.3f}" for number in numbers)
    return f"gate {result.name}={result.bound:g} {result.outcome} at {value} [{low}, {high}]"
