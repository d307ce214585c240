"""The four questions that the first screen of the report answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from azdistill.contracts.results import GateOutcome, GateResult, Interval
from azdistill.metrics.metric import Metric
from azdistill.metrics.registry import metric_named
from azdistill.reporting.figures import amount, format_metric, percent, ratio_interval, seconds, size
from azdistill.reporting.messages import gate_result, registration
from azdistill.reporting.report import Report

NO_PRICES = "Set input_price and output_price of the teacher, and prices.serving_hour"
SHIP: Mapping[GateOutcome, str] = {"passed": "Yes", "refused": "No", "inconclusive": "Not decided"}


@dataclass(frozen=True)
class ScreenAnswer:
    """A question, its answer in a few words, and the figures behind it. `outcome` decides the colour."""

    question: str
    answer: str
    detail: str
    outcome: GateOutcome | Literal[""] = ""


def answers(report: Report) -> tuple[ScreenAnswer, ...]:
    metric = metric_named(report.primary_metric)
    return _is_better(report, metric), _is_kept(report, metric), _cost(report), _may_ship(report)


def _is_better(report: Report, metric: Metric) -> ScreenAnswer:
    """The student is better, or worse, than the baseline if the interval of its gain excludes 0."""
    outcome = _side(report.gain, 0)
    answer = {"passed": "Yes", "refused": "No, worse", "inconclusive": "Not shown"}[outcome]
    student, baseline = (
        format_metric(metric, report.models[role].value(metric.name)) for role in ("student", "baseline")
    )
    detail = f"{metric.label} {student}, {report.baseline_name} {baseline}; gain {ratio_interval(report.gain)}"
    return ScreenAnswer("Is it better?", answer, detail, outcome)


def _side(measured: Interval, bound: float) -> GateOutcome:
    if measured.low is not None and measured.low > bound:
        return "passed"
    return "refused" if measured.high is not None and measured.high < bound else "inconclusive"


def _is_kept(report: Report, metric: Metric) -> ScreenAnswer:
    teacher = format_metric(metric, report.models["teacher"].value(metric.name))
    bounds = report.retention
    interval = (
        "" if bounds.low is None or bounds.high is None else f" [{100 * bounds.low:.1f}, {100 * bounds.high:.1f}]"
    )
    detail = f"of the teacher's {metric.label}{interval}; the teacher has {teacher}"
    return ScreenAnswer("How much is kept?", percent(report.retention.value), detail)


def _cost(report: Report) -> ScreenAnswer:
    """Time and size are always known; amounts only with prices."""
    costs, student = report.costs, report.models["student"]
    resources = f"{seconds(student.value('latency_p50_s'))} an answer, weights {size(student.value('weight_bytes'))}"
    spent = costs.spent
    if spent is None:
        return ScreenAnswer("What does it cost?", "No prices set", f"{resources}. {NO_PRICES}")
    parts = f"{amount(spent)} to distil"
    if costs.teacher_per_1000 is None or costs.student_per_1000 is None:
        return ScreenAnswer("What does it cost?", parts, f"{resources}. {NO_PRICES}")
    each = f"{amount(costs.student_per_1000)} for 1,000 answers, the teacher {amount(costs.teacher_per_1000)}"
    requests = costs.break_even_requests
    paid_back = "never paid back" if requests is None else f"paid back after {requests:,} answers"
    share = percent(costs.student_per_1000 / costs.teacher_per_1000)
    detail = f"of the teacher's price: {each}; {parts}, {paid_back}; {resources}"
    return ScreenAnswer("What does it cost?", share, detail)


def _may_ship(report: Report) -> ScreenAnswer:
    verdict = report.verdict
    answer = SHIP[verdict.decision] if verdict.gates else "No gate set"
    missed = [_missed(gate) for gate in verdict.gates if gate.outcome == verdict.decision != "passed"]
    return ScreenAnswer("May it ship?", answer, ". ".join([*missed, registration(report)]), verdict.decision)


def _missed(gate: GateResult) -> str:
    text = gate_result(gate)
    if gate.rows_needed is None:
        return text
    return f"{text}; about {gate.rows_needed:,} rows would decide"
