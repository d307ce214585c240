"""Costs, and the four answers of the report's first screen."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.report import ReportConfig
from azdistill.contracts.results import Interval
from azdistill.reporting.collect import Folders, collect
from azdistill.reporting.first_screen import answers
from azdistill.reporting.report import Costs, Report
from tests.manifests import rewrite
from tests.reporting.conftest import USAGE

Distil = Callable[..., dict[str, Path]]
LEDGER = {"useful": {"calls": 400, "cost": 8.0}, "unusable": {"calls": 10, "cost": 0.5}, "retried": {"calls": 7}}


def read(folders: dict[str, Path], training_hour: float | None = None, serving_hour: float | None = None) -> Report:
    config = ReportConfig(title="small", training_hour_price=training_hour, serving_hour_price=serving_hour)
    return collect(Folders(**folders), config)


def priced(folders: dict[str, Path]) -> dict[str, Path]:
    rewrite(folders["completions"] / "usage.json", json.dumps(USAGE | {"ledger": LEDGER}))
    profile = json.loads((folders["student"] / "profile.json").read_text()) | {"rows": 500, "seconds": 50.0}
    rewrite(folders["student"] / "profile.json", json.dumps(profile))
    metrics = json.loads((folders["training"] / "metrics.json").read_text()) | {"seconds": 1800.0}
    rewrite(folders["training"] / "metrics.json", json.dumps(metrics))
    return folders


def test_costs_follow_from_what_was_measured_and_the_prices(distil: Distil) -> None:
    """400 useful answers cost 8; half an hour of training at 4; 500 answers took 50 s of a machine at 3.6 an hour."""
    costs = read(priced(distil()), training_hour=4, serving_hour=3.6).costs
    assert costs.by_outcome == {"useful": 8.0, "unusable": 0.5}
    assert (costs.teacher, costs.training, costs.teacher_per_1000) == (8.5, 2.0, 20.0)
    assert costs.student_per_1000 == pytest.approx(0.1)
    # 10.5 was spent, and an answer saves 0.0199.
    assert costs.break_even_requests == 528


@pytest.mark.parametrize(
    ("costs", "requests"),
    [
        (Costs(), None),
        (Costs(teacher=8, teacher_per_1000=20), None),
        (Costs(teacher=8, teacher_per_1000=20, student_per_1000=20), None),
        (Costs(teacher=8, teacher_per_1000=20, student_per_1000=30), None),
        (Costs(teacher=8, teacher_per_1000=20, student_per_1000=12), 1000),
    ],
)
def test_a_distillation_is_paid_back_only_if_the_student_is_cheaper(costs: Costs, requests: int | None) -> None:
    assert costs.break_even_requests == requests


@pytest.mark.parametrize(
    ("prices", "answer", "details"),
    [
        ({}, "8.50 to distil", ["Set input_price", "weights"]),
        (
            {"training_hour": 4.0, "serving_hour": 3.6},
            "0.5%",
            ["of the teacher's price", "paid back after 528 answers"],
        ),
        ({"serving_hour": 3600.0}, "500.0%", ["never paid back"]),
    ],
)
def test_the_answer_about_cost_depends_on_the_prices(
    distil: Distil, prices: dict[str, float], answer: str, details: list[str]
) -> None:
    shown = answers(read(priced(distil()), **prices))[2]
    assert shown.answer == answer
    assert [detail for detail in details if detail not in shown.detail] == []


def test_without_prices_time_and_size_are_shown(distil: Distil) -> None:
    shown = answers(read(distil()))[2]
    assert (shown.answer, "21 ms an answer" in shown.detail) == ("No prices set", True)


@pytest.mark.parametrize(
    ("gain", "answer", "outcome"),
    [
        (Interval(value=0.2, low=0.1, high=0.3), "Yes", "passed"),
        (Interval(value=0.1, low=-0.1, high=0.3), "Not shown", "inconclusive"),
        (Interval(value=-0.2, low=-0.3, high=-0.1), "No, worse", "refused"),
        (Interval(), "Not shown", "inconclusive"),
    ],
)
def test_a_student_is_better_if_its_interval_says_so(distil: Distil, gain: Interval, answer: str, outcome: str) -> None:
    shown = answers(read(distil()).model_copy(update={"gain": gain}))[0]
    assert (shown.answer, shown.outcome) == (answer, outcome)


@pytest.mark.parametrize(
    ("decision", "answer"), [("passed", "Yes"), ("refused", "No"), ("inconclusive", "Not decided")]
)
def test_the_gates_decide_whether_it_may_ship(distil: Distil, decision: str, answer: str) -> None:
    report = read(distil(decision))
    shown = answers(report)[3]
    assert shown.answer == answer
    assert ("required at least" in shown.detail) == (decision != "passed")
