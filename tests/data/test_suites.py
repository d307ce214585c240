"""Step regression: the rows of the suites, without those that the student is trained on."""

import json
from pathlib import Path

import pytest

from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import Message, Prompt, Reject
from azdistill.contracts.suites import SuiteRow
from azdistill.job import scaffold
from azdistill.steps.regression import STEP, body
from azdistill.steps.runner import run_step
from tests.data.conftest import StepRun


def prompt(question, split):
    messages = (Message(role="user", content=question),)
    return Prompt(id=question, split=split, messages=messages, source="train.jsonl:1")


PROMPTS = [prompt("Who is trained?", "train"), prompt("Who is  VALID?", "validation"), prompt("Who is tested?", "test")]


@pytest.fixture
def flags(tmp_path):
    """Flags of the step for suites and their files, after step prepare."""
    write_rows(tmp_path / "prompts" / "prompts.jsonl", PROMPTS)
    close_folder(tmp_path / "prompts", "prepare", {})

    def written(suites, files, **others):
        (tmp_path / "suites.json").write_text(json.dumps(suites))
        ports = {f"suite_{number}": path for number, path in enumerate(files, 1)}
        return {"prompts": tmp_path / "prompts", "suites": tmp_path / "suites.json", **ports, **others}

    return written


@pytest.fixture
def refused(tmp_path, flags, capsys):
    """Run the step in this process, which fails with one line; returns the line."""

    def run(*arguments, **others):
        values = {**flags(*arguments, **others), "regressions": tmp_path / "out"}
        argv = [word for name, value in values.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        assert run_step(STEP, body, argv) == 2
        assert not (tmp_path / "out" / "manifest.json").exists()
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    return run


def test_rows_of_the_training_data_and_duplicates_are_left_out_and_counted(tmp_path, jsonl, row, flags):
    general = [
        row("How many?", gold=["three", "3"]),
        row("who is TRAINED?", "no one"),
        row("Who is valid?", "no one"),
        row("How  MANY?", "four"),
        row("Who is tested?", "a student"),
        *({"question": f"Question {number}?", "answer": "a"} for number in range(60)),
        {"text": "neither"},
    ]
    unsafe = [row("How many?"), row("How do I pick a lock?")]
    files = jsonl(general, "a.jsonl"), jsonl(unsafe, "b.jsonl")
    values = flags([{"name": "general", "task": "qa"}, {"name": "refusals"}], files, regressions=tmp_path / "out")
    done = StepRun("regression", tmp_path / "out", values)
    assert (done.code, done.err) == (0, "")
    assert "general 62, refusals 2; 1 rejected, 1 duplicates, 2 that the student is trained on" in done.out
    rows = list(read_rows(done.folder / "suites.jsonl", SuiteRow))
    assert [(row.suite, row.source, row.gold) for row in (*rows[:2], *rows[-2:])] == [
        ("general", "general:1", ("three", "3")),
        ("general", "general:5", "a student"),
        ("refusals", "refusals:1", None),
        ("refusals", "refusals:2", None),
    ]
    assert {row.split for row in rows} == {"test"}
    assert rows[0].id == rows[-2].id
    (reject,) = read_rows(done.folder / "rejects.jsonl", Reject)
    assert reject.source == "general:66"
    manifest = read_manifest(done.folder)
    assert manifest.counts == {
        "rows": {"general": 62, "refusals": 2},
        "rejected": 1,
        "duplicates": 1,
        "leaked": 2,
        "reasons": {reject.reason: 1},
    }
    assert manifest.provenance
    assert set(manifest.provenance.data) == {"general", "refusals"}


def test_wrong_rows_and_files_are_named(tmp_path, jsonl, row, refused):
    suites = [{"name": "general"}, {"name": "refusals"}]
    good = jsonl([row("How many?")], "a.jsonl")
    bad = jsonl([row("How?"), "{", {"messages": 7}], "b.jsonl")
    line = refused(suites, [good, bad])
    assert "2 of 3 rows" in line
    assert "1 broken_json (refusals:2: " in line
    assert "1 no_messages (refusals:3: " in line
    assert len(list(read_rows(tmp_path / "out" / "rejects.jsonl", Reject))) == 2
    assert "gone.jsonl: no such file" in refused(suites, [good, tmp_path / "gone.jsonl"])
    only_trained = jsonl([row("Who is trained?")], "c.jsonl")
    assert "regressions.refusals.data: no row is left" in refused(suites, [good, only_trained])


def test_the_labels_of_a_suite_are_stated_and_not_guessed(jsonl, refused):
    rows = jsonl([{"premise": f"p {number}", "hypothesis": "h", "label": number % 2} for number in range(40)])
    line = refused([{"name": "rte", "task": "nli"}], [rows])
    assert "regressions.rte.labels: no label of 40 rows is 2" in line


def test_the_rows_of_a_dry_run_are_limited(tmp_path, jsonl, row, flags):
    files = [jsonl([row(f"Question {number}?") for number in range(9)])]
    suites = [{"name": "rte", "task": "nli", "labels": ["yes", "no"]}]
    done = StepRun("regression", tmp_path / "out", flags(suites, files, rows=4, regressions=tmp_path / "out"))
    assert (done.code, done.err) == (0, "")
    assert len(list(read_rows(done.folder / "suites.jsonl", SuiteRow))) == 4


def test_a_suite_may_have_the_task_file_of_the_job(tmp_path, jsonl, row, flags):
    suites, files = [{"name": "tickets", "task": "own"}], [jsonl([{"ticket": "Where is it?", "team": "delivery"}])]
    task_file = Path(scaffold.__file__).with_name("my_task.py")
    values = flags(suites, files, task_file=task_file, regressions=tmp_path / "out")
    done = StepRun("regression", tmp_path / "out", values)
    assert (done.code, done.err) == (0, "")
    (ticket,) = read_rows(done.folder / "suites.jsonl", SuiteRow)
    assert ticket.gold == "delivery"
    assert ticket.messages[0].content.startswith("Which team")
