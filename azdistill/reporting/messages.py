"""Figures and sentences as people read them, the same in every form of the report."""

from collections.abc import Callable, Mapping
from typing import Any

from azdistill.contracts.results import (
    GateDecision,
    GateResult,
    Interval,
    LogprobsUsage,
    Metrics,
    MetricValue,
    Usage,
)
from azdistill.metrics.metric import Metric, Unit
from azdistill.reporting.report import Report

Fact = tuple[str, str]
"""A label and what it says."""

UNKNOWN = "n/a"
SIMULATED = (
    "The teacher was simulated: a stand-in that follows the task's policy. "
    "Its answers, latency and tokens say nothing about the real teacher."
)


def headline(decision: GateDecision, metrics: Metrics) -> str:
    """The gates' decision and the student's accuracy, in two sentences."""
    opening = {
        "passed": "The student passed its gates." if decision.gates else "No gate was set for the student.",
        "refused": f"The student was refused: {_missed(decision, 'refused')}.",
        "inconclusive": "The test rows can't tell whether the student is good enough: "
        f"{_missed(decision, 'inconclusive')}.",
    }[decision.decision]
    student, baseline = (percent(metrics.models[role].value("accuracy")) for role in ("student", "baseline"))
    retention = metrics.retention.value
    retained = "" if retention is None else f", {retention:.3f} of the teacher's accuracy"
    return (
        f"{opening} It is right on {student} of {metrics.rows:,} held-out rows{retained}; "
        f"the untouched baseline on {baseline}."
    )


def _missed(decision: GateDecision, outcome: str) -> str:
    return " and ".join(
        f"{gate_name(gate)} {gate_measured(gate)} against {gate_bound(gate)}"
        for gate in decision.gates
        if gate.outcome == outcome
    )


def registration(report: Report) -> str:
    """Where the student is, or will be: this report is made beside the register step, not after it."""
    name = report.registered_model
    if not report.verdict.register_student:
        return f"No name in the registry: the register step refuses {name!r} with exit code 3."
    free = "" if report.verdict.decision == "passed" else " although its gates did not pass"
    return (
        f"The register step names the student models:/{name}{free}; "
        "when it has run, the version is in registration/lineage.json."
    )


def gate_name(gate: GateResult) -> str:
    return gate.name.removeprefix("min_").removeprefix("max_").replace("_", " ")


def gate_bound(gate: GateResult) -> str:
    return f"{'at most' if gate.name.startswith('max_') else 'at least'} {gate.bound:g}"


def gate_measured(gate: GateResult) -> str:
    return ratio_interval(gate.interval)


def usage_facts(usage: Usage) -> list[Fact]:
    """What the teacher was asked for, and what it took."""
    retried = ", ".join(
        f"{number:,} for {reason.replace('_', ' ')}" for reason, number in sorted(usage.retries.items())
    )
    return [
        ("teacher", f"{usage.teacher} ({usage.route})"),
        ("rows asked", f"{usage.asked:,}"),
        ("answered", f"{usage.answered:,}"),
        ("kept aside", f"{usage.rejected:,}"),
        ("found in the store", f"{usage.from_store:,}"),
        ("calls", f"{usage.calls:,}"),
        ("retries", retried or "none"),
        ("prompt tokens", f"{usage.prompt_tokens:,}"),
        ("completion tokens", f"{usage.completion_tokens:,}"),
        *([("log probabilities", _logprobs(usage.logprobs))] if usage.logprobs else []),
    ]


def _logprobs(found: LogprobsUsage) -> str:
    each = "" if found.bytes_per_token is None else f", {found.bytes_per_token:.1f} bytes a token"
    without = f"; {sum(found.without.values()):,} without: {reasons(_spelled(found.without))}" if found.without else ""
    return f"{found.rows:,} rows of {found.tokens:,} tokens{each}{without}"


def _spelled(counts: Mapping[str, int]) -> dict[str, int]:
    return {reason.replace("_", " "): number for reason, number in sorted(counts.items())}


def training_facts(metrics: Mapping[str, Any]) -> list[Fact]:
    """What metrics.json of train holds, in reading order."""
    return [(label, show(metrics[key])) for key, label, show in TRAINING if key in metrics]


def loss(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"


def reasons(left_behind: dict[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in left_behind.items())


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.1f}%"


def percent_interval(found: Interval) -> str:
    if found.value is None or found.low is None or found.high is None:
        return percent(found.value)
    return f"{percent(found.value)} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def ratio_interval(found: Interval) -> str:
    if found.value is None or found.low is None or found.high is None:
        return ratio(found.value)
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def span(found: Interval) -> str:
    """The interval alone; empty where there is none."""
    return "" if found.low is None or found.high is None else f"between {found.low:.3f} and {found.high:.3f}"


def width(part: float | None) -> str:
    """A part of one as the percents of a bar, kept inside its track."""
    return f"{100 * min(max(part or 0.0, 0.0), 1.0):.2f}"


def format_metric(metric: Metric, value: MetricValue) -> str:
    """A metric's value in its unit, with the interval where it has one."""
    if isinstance(value, str):
        return value
    interval = value if isinstance(value, Interval) else Interval(value=value)
    if metric.unit == "fraction":
        return percent_interval(interval)
    if metric.unit == "points":
        return points_interval(interval)
    formats: dict[Unit, Callable[[float | None], str]] = {"rows": rows, "seconds": seconds, "bytes": size}
    return formats.get(metric.unit, count)(interval.value)


def points_interval(interval: Interval) -> str:
    """0 to 100, one decimal."""
    if interval.value is None:
        return UNKNOWN
    bounds = "" if interval.low is None else f" [{interval.low:.1f}, {interval.high:.1f}]"
    return f"{interval.value:.1f}{bounds}"


def rows(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if value >= 1:
        return f"{value:.1f} s"
    return f"{1000 * value:.1f} ms" if value < 0.01 else f"{1000 * value:.0f} ms"


def size(value: float | None) -> str:
    """Bytes, in the largest unit of which there is one."""
    return UNKNOWN if value is None else _scaled(value, 1024, (" B", " KiB", " MiB", " GiB"))


def count(value: float | None) -> str:
    """A number too large to be read digit by digit."""
    return UNKNOWN if value is None else _scaled(value, 1000, ("", " k", " M", " B"))


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while value >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{value:.0f}{units[power]}" if value >= 100 else f"{value:.3g}{units[power]}"


def times(part: float | None, whole: float | None, of: str) -> str:
    """`0.42 x teacher`; empty where either is unknown."""
    return "" if part is None or not whole else f"{part / whole:.2f} x {of}"


TRAINING: tuple[tuple[str, str, Callable[[Any], str]], ...] = (
    ("train_rows", "rows", lambda value: f"{value:,}"),
    ("epochs", "epochs", lambda value: f"{value:g}"),
    ("steps", "steps", lambda value: f"{value:,}"),
    ("supervised_tokens", "learned tokens", count),
    ("parameters", "parameters", count),
    ("device", "device", str),
    ("seconds", "time", seconds),
    ("tokens_per_s", "tokens per second", count),
    ("train_loss", "training loss", loss),
    ("validation_loss", "validation loss", loss),
)
