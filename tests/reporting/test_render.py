"""The forms of the report: complete, self-contained, safe to open."""

import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from azdistill.contracts.job_facts import JobFacts, ModelFacts
from azdistill.contracts.manifest import close_folder, open_folder
from azdistill.contracts.report import ReportConfig
from azdistill.reporting import messages
from azdistill.reporting.collect import Folders, collect
from azdistill.reporting.console import summary
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import CurvePoint, Report
from tests.manifests import rewrite
from tests.reporting.conftest import METRICS, USAGE

Distil = Callable[..., dict[str, Path]]
HOSTILE = "</dd><script>alert('x')</script><img src=x onerror=alert(1)> | **bold** {{ 7 * 7 }}\n# heading"
FACTS = JobFacts(
    student=ModelFacts(name="<img src=x> | **bold**"),
    teachers=(ModelFacts(name="Llama", licence="llama3.3", duty="a duty", acknowledged=True),),
    baseline="azureml:support:3",
)

CONFIG = ReportConfig(title="quickstart", registered_model="support-student", job_facts=FACTS)
VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """Elements, attributes and text of a page; end tags must match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data.split()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_report(folders: dict[str, Path]) -> Report:
    return collect(Folders(**folders), CONFIG)


def terminal(report: Report, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(summary(report.model_dump(mode="json")))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_page_is_well_formed_and_loads_nothing(distil: Distil) -> None:
    page = Page(html(read_report(distil())))
    assert page.open == []
    assert not {"link", "img", "iframe", "object"} & set(page.tags)
    assert not {"src", "href", "onclick", "onerror", "onload"} & {name for name, _ in page.attributes}


def test_text_from_data_is_shown_and_never_run(distil: Distil) -> None:
    report = read_report(distil(teacher_answer=HOSTILE, baseline_answer=HOSTILE))
    text = html(report)
    page = Page(text)
    assert page.open == []
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "default-src 'none'" in text


def test_in_markdown_text_from_data_stays_inside_its_block(distil: Distil) -> None:
    lines = markdown(read_report(distil(teacher_answer=HOSTILE))).splitlines()
    holding = [line for line in lines if "<script>" in line or "# heading" in line]
    assert holding
    assert all(line.startswith("    ") for line in holding)


@pytest.mark.parametrize("form", [html, markdown, terminal])
def test_every_form_has_the_figures(distil: Distil, form: Callable[[Report], str]) -> None:
    text = form(read_report(distil()))
    for figure in ("94.8%", "97.8%", "0.0%", "96.3", "21 ms", "512 MiB", "0.969 [0.951, 0.986]", "duplicate 9"):
        assert figure in text, figure
    assert "The register step registers the student as" in text
    assert "simulated" in text


def test_in_markdown_a_blank_line_is_before_each_table(distil: Distil) -> None:
    lines = ["", *markdown(read_report(distil())).splitlines()]
    assert {before for before, line in pairwise(lines) if line.startswith("|") and not before.startswith("|")} == {""}


def test_no_word_is_cut_off_on_a_narrow_terminal(distil: Distil) -> None:
    assert "…" not in terminal(read_report(distil()), width=50)


@pytest.mark.parametrize("form", [html, markdown])
def test_the_terms_of_a_loss_have_a_table(distil: Distil, form: Callable[[Report], str]) -> None:
    report = read_report(distil())
    assert messages.LOSS_TERMS not in form(report)
    terms = [{"text": 4.25, "top_k": 0.0}, {"text": 4.0, "top_k": 2.5}, {"text": 0.125, "top_k": 0.0625}]
    curve = tuple(CurvePoint(step=step, loss=sum(part.values()), terms=part) for step, part in enumerate(terms, 1))
    training = report.training | {"aligned_share": 0.875, "on_policy": {"eos_share": 0.75, "overlap": None}}
    text = form(report.model_copy(update={"curve": curve, "training": training}))
    for cell in (messages.LOSS_TERMS, "4.2500", "2.5000", "0.0625", "87.5%", "75.0%"):
        assert cell in text
    assert "in common with the teacher" not in text


def test_licences_and_the_name_of_the_baseline_are_shown(distil: Distil) -> None:
    report = read_report(distil())
    assert "| Llama | llama3.3 | a duty | yes |" in markdown(report).splitlines()
    text = html(report)
    assert "The baseline is azureml:support:3." in text
    assert "azureml:support:3 0.0%" in text
    assert '<th scope="row">Llama</th><td>llama3.3</td><td>a duty</td><td>yes</td>' in text
    assert "<img" not in text + markdown(report)


@pytest.mark.parametrize("form", [html, markdown, terminal])
@pytest.mark.parametrize("price", [0, 4.5])
def test_several_teachers_have_separate_figures(distil: Distil, form: Callable[[Report], str], price: float) -> None:
    folders = distil()
    ledger = {"useful": {"calls": 900, "cost": price}, "unusable": {"cost": price}, "retried": {"calls": 7}}
    dear = {"calls": 907, "retries": {"http_429": 7}, "prompt_tokens": 81_234, "completion_tokens": 9876}
    several = {
        "teacher": "dear, cheap",
        "answered_by": {"dear": 861, "cheap": 2001},
        "teachers": {"dear": {**dear, "ledger": ledger}},
        "logprobs": {"rows": 2800, "tokens": 59_001, "bytes_per_token": 4.25, "without": {"not_sent": 62}},
    }
    single_teacher = form(read_report(folders))
    rewrite(folders["completions"] / "usage.json", json.dumps(USAGE | several))
    two_teachers = form(read_report(folders))
    cells = ("rows answered", "2,001", "861", "907", "81,234", "9,876")
    assert [cell for cell in cells if cell not in two_teachers] == []
    assert "2,001" not in single_teacher
    assert ("9.00" in two_teachers) == (price > 0)
    assert form is terminal or "2,800 rows of 59,001 tokens, 4.2 bytes a token; 62 without: not sent 62" in two_teachers
    assert form is not html or Page(two_teachers).open == []


SUITE = {
    "name": "refusals",
    "task": "conversation",
    "metric": "refused",
    "rows": 300,
    "unscored": 2,
    "baseline": {"value": 0.98, "low": 0.957, "high": 0.991},
    "student": {"value": 0.91, "low": 0.872, "high": 0.937},
    "gain": {"value": -0.07, "low": -0.104, "high": -0.041},
    "min_gain": -0.02,
}


def with_suites(folders: dict[str, Path]) -> dict[str, Path]:
    """The folders of a job with two regression suites, one of them without a gate."""
    suites = [SUITE, {**SUITE, "name": "general", "metric": "accuracy", "task": "qa", "min_gain": None}]
    gate = {"name": "min_regression_refusals", "bound": -0.02, "outcome": "refused", **SUITE["gain"]}  # type: ignore[dict-item]
    decision = {"decision": "refused", "enforced": True, "register": False, "gates": [gate]}
    rewrite(folders["evaluation"] / "metrics.json", json.dumps(METRICS | {"regressions": suites}))
    rewrite(folders["evaluation"] / "gate.json", json.dumps(decision))
    counts = {"rows": {"refusals": 302, "general": 302}, "rejected": 0, "duplicates": 4, "leaked": 11}
    close_folder(open_folder(folders["evaluation"].parent / "regressions"), "regression", counts)
    return {**folders, "regressions": folders["evaluation"].parent / "regressions"}


@pytest.mark.parametrize("form", [html, markdown, terminal])
@pytest.mark.parametrize(("ended", "cut"), [(0.08, "92.0% of the student's answers"), (0.8, None)])
def test_many_truncated_answers_of_the_student_are_named(
    distil: Distil, form: Callable[[Report], str], ended: float, cut: str | None
) -> None:
    folders = distil()
    student = {**METRICS["models"]["student"], "ended": ended}
    metrics = METRICS | {"models": METRICS["models"] | {"student": student}}
    rewrite(folders["evaluation"] / "metrics.json", json.dumps(metrics))
    text = form(read_report(folders)).replace("&#39;", "'")
    assert ("predict.max_new_tokens" in text) is (cut is not None)
    assert cut is None or cut in text


@pytest.mark.parametrize("form", [html, markdown])
def test_regression_suites_have_a_table_with_their_gates(distil: Distil, form: Callable[[Report], str]) -> None:
    folders = distil()
    assert "Regression suites" not in form(read_report(folders))
    report = read_report(with_suites(folders))
    text = form(report).replace("\\", "")
    for figure in ("Regression suites", "300 (2 more", "98.0% [95.7, 99.1]", "91.0% [87.2, 93.7]", "-0.070"):
        assert figure in text, figure
    assert "at least -0.02: refused" in text
    assert "Left out: also in the training data 11, duplicate 4." in text
    assert "regression refusals" in text
    assert "refused: regression refusals -0.070 [-0.104, -0.041], required at least -0.02" in report.headline
    assert form is markdown or Page(text).open == []
    shown = terminal(report, width=160)
    assert [cell for cell in ("refusals", "-0.070", "at least -0.02: refused") if cell not in shown] == []


SETTINGS = {
    "prepare": ["test_fraction 0.1", f"input training_data sha256 {'a1' * 32}"],
    "teacher": [
        "teachers.0.model deepseek-v3",
        "teachers.0.endpoint https://teacher.example/v1",
        "prompting.system_prompt Answer <b>briefly</b>.",
        "prompting.chain_of_thought true",
        "temperature 0.7",
        f"code sha256 {'c0' * 32}",
    ],
    "train": [
        "learning_rate 2e-5",
        "scheduler cosine",
        "versions python 3.12.4, torch 2.13.0, transformers 5.1.0",
        f"input student sha256 {'5d' * 32}",
    ],
}


@pytest.mark.parametrize("step", SETTINGS)
def test_the_page_has_the_settings_that_reproduce_the_student(distil: Distil, step: str) -> None:
    text = " ".join(Page(html(read_report(distil()))).text)
    for line in SETTINGS[step]:
        assert line in text
    assert "key_variable" not in text


@pytest.mark.parametrize("step", SETTINGS)
def test_markdown_has_the_settings_and_no_markup_of_the_data(distil: Distil, step: str) -> None:
    lines = {line.removeprefix("- ").replace("\\", "") for line in markdown(read_report(distil())).splitlines()}
    for setting in SETTINGS[step]:
        assert setting.replace("<b>", "&lt;b>").replace("</b>", "&lt;/b>").replace(" ", ": ", 1) in lines or (
            setting.startswith("input") and setting.replace(" sha256", ": sha256") in lines
        )


@pytest.mark.parametrize("form", [html, markdown, terminal])
def test_a_refused_student_has_no_name(distil: Distil, form: Callable[[Report], str]) -> None:
    text = form(read_report(distil("refused")))
    assert "exit code 3" in text
    assert "models:/" not in text


def test_gates_that_are_not_enforced_are_reported_as_such(distil: Distil) -> None:
    report = read_report(distil("inconclusive"))
    for form in (html, markdown):
        assert "not enforced" in form(report)
        assert "although its gates did not pass" in form(report)


def test_the_same_folders_give_the_same_bytes(distil: Distil) -> None:
    folders = distil()
    assert html(read_report(folders)) == html(read_report(folders))
    assert markdown(read_report(folders)) == markdown(read_report(folders))


def test_unknown_figures_are_n_a(distil: Distil) -> None:
    unknown = {"value": None, "low": None, "high": None}
    report = read_report(distil()).model_copy(update={"curve": (), "examples": ()})
    bare = Report.model_validate(report.model_dump() | {"retention": unknown})
    for form in (html, markdown, terminal):
        assert "n/a" in form(bare)
    assert "No row was scored" in html(bare)
    assert "<svg" not in html(bare)


def test_rich_markup_in_data_is_text(distil: Distil) -> None:
    report = read_report(distil())
    named = report.model_copy(update={"headline": "[bold red]not markup[/]"})
    assert "[bold red]not markup[/]" in terminal(named)
