"""azdistill compare: a table, and a page."""

import json
import shutil
from pathlib import Path

from azdistill.contracts.manifest import close_folder
from tests.cli.conftest import Command
from tests.cli.run_folders import a_run, evaluated
from tests.damaged import CONTENTS


def compared_run(name: str, correct: int) -> None:
    """A finished run whose student is right on some of 40 test rows."""
    path = evaluated(a_run(Path(name), evaluate="completed", report="completed"), accuracy=correct / 40)
    scores = [{"id": str(row), "answers": {}, "scores": {"accuracy": {"student": row < correct}}} for row in range(40)]
    (path / "evaluate/evaluation/scores.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in scores))
    (path / "report/report").mkdir(parents=True)
    student = {"latency_p50_s": 0.021, "weight_bytes": 2**20, "parameters": 1000}
    (path / "report/report/report.json").write_text(json.dumps({"models": {"student": student}}))
    for folder in ("evaluate/evaluation", "report/report"):
        close_folder(path / folder, "step", {})


def test_runs_are_compared_with_the_first(azdistill: Command) -> None:
    compared_run("runs/full", 20)
    compared_run("runs/<b>lora", 38)
    done = azdistill("compare", "runs/full", "<b>lora", "--output", "page.html")
    assert (done.code, done.err) == (0, "")
    for figure in ("50.0%", "95.0%", "better: 0.450", "40 shared rows", "21 ms", "1 MiB", "page: page.html"):
        assert figure in " ".join(done.out.replace("│", "").split()), figure
    page = Path("page.html").read_text()
    assert "&lt;b&gt;lora is better." in page
    assert "<b>" not in page


def test_the_same_answers_are_called_so(azdistill: Command) -> None:
    for name in ("runs/full", "runs/again"):
        compared_run(name, 20)
    done = azdistill("compare", "full", "again", "--output", "page.html")
    assert "the same answers on all 40 shared rows" in " ".join(done.out.replace("│", "").split())
    assert "again gives the same answers." in Path("page.html").read_text()


def test_a_damaged_file_of_a_run_is_named(azdistill: Command) -> None:
    for name in ("evaluate/evaluation/scores.jsonl", "report/report/report.json", "report/report/manifest.json"):
        for run in ("runs/full", "runs/lora"):
            shutil.rmtree(run, ignore_errors=True)
            compared_run(run, 20)
        for content in CONTENTS.values():
            Path("runs/lora", name).write_bytes(content)
            done = azdistill("compare", "runs/full", "runs/lora")
            assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
            assert done.err.startswith(f"runs/lora/{name}: ")


def test_a_run_without_a_report_is_named(azdistill: Command) -> None:
    compared_run("runs/full", 20)
    a_run(Path("runs/half"), prepare="completed")
    for arguments, words in ((("runs/half",), "runs/half: not a run with a report"), ((), "two runs or more")):
        done = azdistill("compare", "runs/full", *arguments)
        assert (done.code, done.out) == (2, "")
        assert words in done.err
