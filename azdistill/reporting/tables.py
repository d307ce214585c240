"""Comparisons as cells, so that every form of the report shows the same figures."""

from collections.abc import Callable
from dataclasses import dataclass

from azdistill.contracts.results import MODEL_ROLES, TeacherUsage, Usage
from azdistill.reporting.report import ModelFigures, Report
from azdistill.reporting.wording import UNKNOWN, count, percent_interval, seconds, size, times


@dataclass(frozen=True)
class Line:
    """One figure: teacher, baseline and student, and the student as a part of one of them."""

    figure: str
    cells: tuple[str, ...]
    compared: str


def comparison(report: Report) -> tuple[Line, ...]:
    """Every figure of the three models, one line each."""
    teacher, baseline, student = (report.models[who] for who in MODEL_ROLES)
    taught = "simulated teacher" if report.usage.simulated else "teacher"

    def line(figure: str, cell: Callable[[ModelFigures], str], compared: str = "") -> Line:
        return Line(figure, tuple(cell(model) for model in (teacher, baseline, student)), compared)

    return (
        line(
            "accuracy",
            lambda model: percent_interval(model.accuracy),
            times(student.accuracy.value, teacher.accuracy.value, taught),
        ),
        line("agrees with the teacher", lambda model: percent_interval(model.agreement)),
        line("BLEU", lambda model: f"{model.bleu:.1f}", times(student.bleu, teacher.bleu, taught)),
        line("rows answered", lambda model: f"{model.answered:,}"),
        line(
            "latency p50",
            lambda model: seconds(model.latency_p50_s),
            times(student.latency_p50_s, teacher.latency_p50_s, taught),
        ),
        line(
            "latency p95",
            lambda model: seconds(model.latency_p95_s),
            times(student.latency_p95_s, teacher.latency_p95_s, taught),
        ),
        line(
            "tokens per second",
            lambda model: count(model.tokens_per_s),
            times(student.tokens_per_s, baseline.tokens_per_s, "baseline"),
        ),
        line(
            "peak memory",
            lambda model: size(model.peak_memory_bytes),
            times(student.peak_memory_bytes, baseline.peak_memory_bytes, "baseline"),
        ),
        line("weights", lambda model: size(model.weight_bytes)),
        line("parameters", lambda model: count(model.parameters)),
        line("device", lambda model: model.device or UNKNOWN),
    )


@dataclass(frozen=True)
class Teachers:
    """What each of several teachers did: a row for each, in their order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def teachers(usage: Usage) -> Teachers | None:
    """None where there is one teacher, of whom the totals tell all. Cost where there is any."""
    if len(usage.answered_by) < 2:
        return None
    found = {name: usage.teachers.get(name, TeacherUsage()) for name in usage.answered_by}
    costs = any(teacher.cost for teacher in found.values())
    columns = ("teacher", "rows answered", "calls", "prompt tokens", "completion tokens", *(["cost"] if costs else []))
    return Teachers(columns, tuple(_teacher(name, usage.answered_by[name], found[name], costs) for name in found))


def _teacher(name: str, rows: int, usage: TeacherUsage, costs: bool) -> tuple[str, ...]:
    counts = (rows, usage.calls, usage.prompt_tokens, usage.completion_tokens)
    return (name, *(f"{number:,}" for number in counts), *([f"{usage.cost:,.2f}"] if costs else []))
