"""The report of a job with a judge: its figures, its cost, and verdicts that are not used."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from azdistill.contracts.files import write_json
from azdistill.contracts.manifest import Provenance, close_folder
from azdistill.contracts.report import ReportConfig
from azdistill.reporting.collect import Folders, collect
from azdistill.reporting.console import summary
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import Costs, Report
from azdistill.reporting.tables import Table, answer_score_table
from tests.reporting.conftest import USAGE, interval

Distil = Callable[..., dict[str, Path]]

SUMMARY: dict[str, Any] = {
    "model": "judge-1 <i>",
    "mode": "pairwise",
    "rows": 200,
    "unjudged": 3,
    "max_unjudged": 0.1,
    "requests": 1180,
    "unanswered": 1,
    "unreadable": 4,
}
RESULTS = SUMMARY | {
    "comparisons": [
        {"model": "student", "against": "teacher", "wins": 30, "ties": 1127, "losses": 40},
        {"model": "student", "against": "baseline", "wins": 180, "ties": 10, "losses": 7},
    ],
    "self_agreement": interval(0.91, 0.88, 0.93),
    "human": {"labels": 40, "same": 31, "kappa": interval(0.62, 0.41, 0.79)},
}
PAID = {
    "calls": 100,
    "prompt_tokens": 9000,
    "completion_tokens": 1000,
    "cost": 2.5,
}


def judged(folders: dict[str, Path], route: str = "endpoint", **changes: Any) -> Report:
    judgements = folders["evaluation"].parent / "judgements"
    write_json(judgements / "summary.json", SUMMARY)
    write_json(judgements / "usage.json", {**USAGE, "route": route, "ledger": {"useful": PAID}, "from_store": 80})
    close_folder(judgements, "judge", {})
    write_json(folders["evaluation"] / "judge.json", RESULTS | changes)
    return collect(Folders(**folders, judgements=judgements), ReportConfig(title="quickstart"))


@pytest.mark.parametrize("render", [html, markdown])
def test_the_page_shows_the_judge_and_its_cost(distil: Distil, render: Callable[[Report], str]) -> None:
    report = judged(distil())
    text = render(report)
    assert (report.costs.judge, report.costs.teacher) == (2.5, None)
    for words in (
        "197 of 200",
        "1,180, of which 80 were in the store",
        "1,127",
        "91.0% [88.0, 93.0]",
        "kappa 0.620",
        "31 of 40 labels",
        "judge&#39;s calls" if render is html else "judge's calls",
    ):
        assert words in text.replace("\\[", "[").replace("\\]", "]"), words
    assert "judge-1 &lt;i" in text
    assert "judge" in report.steps
    assert "not defined" not in text


def test_verdicts_that_are_not_used_are_named(distil: Distil) -> None:
    reasons = {"the reply was cut at judge.max_tokens": 4, "the request failed: timeout": 117}
    report = judged(distil(), unjudged=21, without_verdict=reasons)
    console = Console(file=io.StringIO(), width=400)
    console.print(summary(report.model_dump(mode="json")))
    assert isinstance(console.file, io.StringIO)
    for text in (markdown(report).replace("\\", ""), console.file.getvalue()):
        assert "21 of 200 rows have no verdict, and judge.max_unjudged allows 10.0%" in text
        assert "121 of 1,180 requests to the judge have no verdict, 117 of them because the request failed" in text


def test_a_simulated_judge_is_named(distil: Distil) -> None:
    assert "The judge was simulated" in html(judged(distil(), route="simulated"))
    assert "The judge was simulated" not in html(judged(distil()))


SCORES = {"model": "judge-1", "answers": 100, "unjudged": 4, "unanswered": 3, "unreadable": 1, "spent": 9.0}


def scored(folders: dict[str, Path], route: str = "endpoint") -> Report:
    """A report of a job whose judge scored the teacher's answers too."""
    scores = folders["evaluation"].parent / "answer_scores"
    write_json(scores / "summary.json", {**SCORES, "scores": {"1": 6, "3.5": 10, "5": 80}})
    write_json(scores / "usage.json", {**USAGE, "route": route, "ledger": {"useful": PAID}})
    close_folder(scores, "judge_answers", {})
    close_folder(folders["curated"], "curate", {}, Provenance(config={"min_judge_score": 4.0}))
    judged(folders)
    judgements = folders["evaluation"].parent / "judgements"
    return collect(Folders(**folders, judgements=judgements, answer_scores=scores), ReportConfig(title="quickstart"))


@pytest.mark.parametrize("render", [html, markdown])
def test_the_page_shows_the_scores_of_the_answers_and_their_cost(
    distil: Distil, render: Callable[[Report], str]
) -> None:
    report = scored(distil())
    text = render(report).replace("&#39;", "'")
    assert (report.costs.judge_answers, report.costs.judge) == (2.5, 2.5)
    assert answer_score_table(report) == Table(
        ("score", "answers", "share"),
        (("5", "80", "80.0%"), ("3.5", "10", "10.0%"), ("1", "6", "6.0%"), ("none", "4", "4.0%")),
    )
    for words in (
        "judge's calls about the teacher's answers",
        "judge's calls about the test rows",
        "Scores that judge-1 gave to the teacher's answers",
        "Answers below 4, and those without a score, were dropped",
        "80.0%",
    ):
        assert words in text, words
    assert "judge_answers" in report.steps
    assert "its scores say nothing" not in text
    assert "its scores say nothing" in render(scored(distil(), route="simulated"))


def test_a_job_without_a_judge_has_no_such_section(distil: Distil) -> None:
    report = collect(Folders(**distil()), ReportConfig(title="quickstart"))
    assert (report.judge, report.data_card.answer_scores) == (None, None)
    assert "Judge" not in markdown(report)


def test_the_judge_is_paid_back_too() -> None:
    costs = Costs(teacher=10.0, judge=5.0, training=1.0, teacher_per_1000=2.0, student_per_1000=1.0)
    assert (costs.spent, costs.break_even_requests) == (16.0, 16_000)
    assert Costs(teacher=10.0, judge_answers=3.0, judge=5.0).spent == 18.0
    assert Costs(judge=5.0).spent is None
