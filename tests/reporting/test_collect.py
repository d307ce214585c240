"""Collect a Report from folders: rows of each stage, figures, headline."""

from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.report import ReportConfig
from azdistill.contracts.results import ModelRole, RowScores
from azdistill.reporting.collect import Folders, collect
from azdistill.reporting.examples import rows_by_kind
from azdistill.reporting.report import Report
from tests.manifests import rewrite
from tests.reporting.conftest import TEST_ROWS, TEST_ROWS_WRONG

Distil = Callable[..., dict[str, Path]]


def read_report(folders: dict[str, Path]) -> Report:
    return collect(Folders(**folders), ReportConfig(title="quickstart", registered_model="support-student"))


def test_rows_add_up_from_stage_to_stage(distil: Distil) -> None:
    stages = {stage.name: stage for stage in read_report(distil()).stages}
    assert stages["read"].rows == stages["prepared"].rows + sum(stages["prepared"].left_behind.values()) == 2916
    assert stages["prepared"].left_behind == {"duplicate": 9, "empty content": 3, "leaked": 3, "unknown role": 1}
    assert stages["answered by the teacher"].left_behind == {"content filter": 38}
    assert stages["curated"].left_behind == {"held out for the test": 40, "length": 40, "empty": 6}
    assert stages["trained on"].rows == 2216
    assert stages["trained on"].left_behind == {"held out for validation": 118, "too long": 4}


def test_a_teacher_has_latency_and_our_models_have_a_profile(distil: Distil) -> None:
    models = read_report(distil()).models
    assert (models["teacher"].value("latency_p50_s"), models["teacher"].value("parameters")) == (0.0061, None)
    assert (models["student"].value("latency_p50_s"), models["student"].value("parameters")) == (0.021, 1_054_000)


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        ("passed", "The student passed its gates. It answers 94.8% of 500 held-out rows correctly (0.969 of"),
        ("refused", "The student was refused: retention 0.711 [0.680, 0.742], required at least 0.9."),
        (
            "inconclusive",
            "The test rows cannot decide whether the student is good enough: retention 0.905 [0.880, 0.930]",
        ),
    ],
)
def test_the_headline_says_what_was_decided(distil: Distil, decision: str, sentence: str) -> None:
    assert read_report(distil(decision)).headline.startswith(sentence)


def test_test_rows_are_shown_by_kind(distil: Distil) -> None:
    report = read_report(distil())
    worse, better = TEST_ROWS_WRONG, TEST_ROWS - TEST_ROWS_WRONG
    assert report.example_counts == {
        "worse than the teacher": worse,
        "better than the baseline": better,
        "no better than the baseline": 0,
    }
    kinds = [example.kind for example in report.examples]
    assert kinds == ["worse than the teacher"] * worse + ["better than the baseline"] * better
    assert [example.correct["student"] for example in report.examples] == [False] * worse + [True] * better
    assert read_report(distil()).examples == report.examples


def test_only_the_first_rows_of_a_kind_are_kept() -> None:
    def row(number: int, student: float, teacher: float | None, baseline: float) -> RowScores:
        scores: dict[ModelRole, bool | float | None] = {"teacher": teacher, "baseline": baseline, "student": student}
        return RowScores(id=f"{number:03}", answers={}, scores={"chrf": scores})

    rows = [row(0, 0.5, 0.6, 0), row(1, 0.2, 0.9, 0), row(2, 1, 1, 0), row(3, 0.3, None, 0.3), row(4, 1, 1, 1)]
    assert rows_by_kind(rows, "chrf") == {
        "worse than the teacher": ["001", "000"],
        "better than the baseline": ["002"],
        "no better than the baseline": ["003"],
    }


def test_a_test_row_without_a_teacher_answer_shows_none(distil: Distil) -> None:
    folders = distil()
    rewrite(folders["completions"] / "completions.jsonl", "")
    assert {example.answers["teacher"] for example in read_report(folders).examples} == {None}


def test_a_long_answer_is_cut_with_a_note(distil: Distil) -> None:
    answer = read_report(distil(teacher_answer="word " * 1000)).examples[0].answers["teacher"]
    assert answer is not None
    assert answer.endswith("… (3800 more characters)")


def test_a_folder_that_is_not_complete_is_named(distil: Distil) -> None:
    folders = distil()
    (folders["evaluation"] / MANIFEST_FILE).unlink()
    with pytest.raises(DataError, match=r"evaluation: no manifest\.json"):
        read_report(folders)


def test_a_long_history_is_thinned_and_keeps_its_ends_and_validation(distil: Distil) -> None:
    folders = distil()
    lines = [f'{{"step": {step}, "loss": 1.0}}\n' for step in range(1, 1002)]
    rewrite(
        folders["training"] / "history.jsonl",
        "".join([*lines[:7], '{"step": 7, "validation_loss": 1}\n', *lines[7:]]),
    )
    curve = read_report(folders).curve
    assert len(curve) <= 205
    assert (curve[0].step, curve[-1].step) == (1, 1001)
    assert sum(point.validation_loss is not None for point in curve) == 1
