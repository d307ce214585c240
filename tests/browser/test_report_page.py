"""The report in a real browser: accessible, without a network, safe, and fit for a phone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.reporting.render import html
from tests.browser.conftest import AXE
from tests.reporting.test_judge import judged
from tests.reporting.test_render import HOSTILE, read_report, with_suites

pytestmark = pytest.mark.browser

Distil = Callable[..., dict[str, Path]]
DESKTOP, PHONE = {"width": 1100, "height": 800}, {"width": 390, "height": 844}


def open_page(browser: Any, file: Path, text: str, **settings: Any) -> Any:
    """The page of a file. Requests other than the file's own fail the test."""
    file.write_text(text, encoding="utf-8")
    page = browser.new_page(**settings)
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(file.as_uri())
    assert requests == [file.as_uri()]
    return page


@pytest.mark.parametrize("settings", [{"viewport": DESKTOP}, {"viewport": PHONE, "color_scheme": "dark"}])
@pytest.mark.parametrize("decision", ["passed", "refused", "inconclusive"])
def test_axe_finds_no_violation(
    chromium: Any, distil: Distil, tmp_path: Path, decision: str, settings: dict[str, Any]
) -> None:
    folders = distil(decision)
    report = {"refused": lambda: read_report(with_suites(folders)), "inconclusive": lambda: judged(folders)}
    page = open_page(
        chromium, tmp_path / "report.html", html(report.get(decision, lambda: read_report(folders))()), **settings
    )
    headings = page.get_by_role("heading").all_text_contents()
    assert ("Regression suites" in headings, "Judge" in headings) == (decision == "refused", decision == "inconclusive")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    violations = page.evaluate("axe.run().then(result => result.violations)")
    assert [(violation["impact"], violation["id"], violation["nodes"][0]["html"]) for violation in violations] == []


def test_the_first_screen_answers_four_questions(chromium: Any, distil: Distil, tmp_path: Path) -> None:
    page = open_page(chromium, tmp_path / "report.html", html(read_report(distil())), viewport=DESKTOP)
    tiles = page.locator(".tiles > div")
    questions = tiles.locator("dt").all_text_contents()
    assert questions == ["Is it better?", "How much is kept?", "What does it cost?", "May it ship?"]
    for index in range(len(questions)):
        box = tiles.nth(index).bounding_box()
        assert box["y"] + box["height"] <= DESKTOP["height"], questions[index]


def test_rows_are_filtered_by_kind_and_words(chromium: Any, distil: Distil, tmp_path: Path) -> None:
    report = read_report(distil())
    page = open_page(chromium, tmp_path / "report.html", html(report), viewport=DESKTOP)
    rows, shown = page.locator("article:visible"), page.locator("#shown")
    assert rows.count() == len(report.examples)
    page.select_option("[name=kind]", "worse than the teacher")
    assert rows.count() == report.example_counts["worse than the teacher"] > 0
    page.get_by_label("The student is").select_option("")
    row = report.examples[0]
    page.keyboard.press("Tab")
    page.keyboard.type(str(row.gold)[:20].upper())
    matching = [example for example in report.examples if str(row.gold)[:20].lower() in str(example.gold).lower()]
    assert 0 < rows.count() <= len(report.examples)
    assert shown.text_content() == f"{rows.count()} of {len(report.examples)} rows"
    assert rows.count() >= len(matching)
    page.fill("[name=text]", "nothing has these words")
    assert rows.count() == 0


def test_rows_are_filtered_by_slice(chromium: Any, distil: Distil, tmp_path: Path) -> None:
    report = read_report(distil())
    examples = [
        example.model_copy(update={"columns": {"topic": 'a "quoted" <b>topic</b>' if index < 3 else "other"}})
        for index, example in enumerate(report.examples)
    ]
    page = open_page(chromium, tmp_path / "report.html", html(report.model_copy(update={"examples": tuple(examples)})))
    assert page.locator("[name=slice] option").all_text_contents() == [
        "all",
        'topic: a "quoted" <b>topic</b>',
        "topic: other",
    ]
    page.select_option("[name=slice]", 'topic: a "quoted" <b>topic</b>')
    assert page.locator("article:visible").count() == 3


def test_a_page_fits_a_phone(chromium: Any, distil: Distil, tmp_path: Path) -> None:
    page = open_page(chromium, tmp_path / "report.html", html(read_report(distil())), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_scripts_in_answers_do_not_run(chromium: Any, distil: Distil, tmp_path: Path) -> None:
    text = html(read_report(distil(teacher_answer=HOSTILE, baseline_answer=HOSTILE)))
    injected = text.replace("</main>", "<script>document.title = 'run'</script><p onclick='alert(1)'>x</p></main>")
    page = open_page(chromium, tmp_path / "report.html", injected)
    assert page.title() != "run"
    assert page.locator("article:visible").count() > 0
    assert page.locator("article img").count() == 0
