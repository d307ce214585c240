"""azdistill report: the path of a report, and the page of a run in progress."""

import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local.guards import locked
from azdistill.engine.local.records import NodeRecord, ReuseKey, write_record
from azdistill.local_runs.watch import watch
from azdistill.reporting.graph import BOX_WIDTH, graph
from tests.cli.conftest import Command, Writer
from tests.cli.run_folders import a_run, evaluated

PIPELINE = """\
type: pipeline
settings: {default_compute: serverless}
jobs:
  prepare:
    type: command
    command: echo 1 > ${{outputs.rows}}
    environment: azureml:any:1
    outputs: {rows: {type: uri_file}}
  train:
    type: command
    command: cat ${{inputs.rows}}
    environment: azureml:any:1
    inputs: {rows: "${{parent.jobs.prepare.outputs.rows}}"}
"""
HOSTILE = "<script>document.title = 1</script>"


def with_pipeline(run: Path) -> Path:
    Path("pipeline.yml").write_text(PIPELINE)
    (run / ".pipeline").write_text(f"{Path('pipeline.yml').resolve()}\n")
    return run


def test_the_page_follows_a_run_and_ends_as_its_report(folder: Path) -> None:
    run = with_pipeline(evaluated(a_run(Path("runs/first"), prepare="completed")))
    (run / "prepare/log.txt").write_text(f"{HOSTILE}\n\x1b[31mred\n")
    pages: list[str] = []

    def train(state: str) -> None:
        code = {"completed": 0}.get(state)
        write_record(run / "train", NodeRecord(state, ReuseKey({}), exit_code=code))  # type: ignore[arg-type]

    def next_moment(_: float) -> None:
        pages.append((run / "watch.html").read_text())
        if len(pages) == 1:
            train("running")
            lines = ["train: 9 rows", *(f"train: {n}/40 (9.9/s, 3 s left) loss {n // 20}.5" for n in (10, 15, 20))]
            (run / "train/log.txt").write_text("\n".join(lines) + "\n")
        else:
            train("completed")
            (run / "report/report").mkdir(parents=True)
            (run / "report/report/report.html").write_text("the report")
            lock.close()

    with ExitStack() as lock:
        lock.enter_context(locked(run))
        assert set(watch(Path("first"), wait=next_moment)) == {run / "watch.html"}
    waiting, training = pages
    assert "Running: 1 of 2 nodes are done." in waiting
    assert '<g class="waiting">' in waiting
    assert '<tr><th scope="row">train</th><td>waiting</td><td class="number"></td><td>prepare</td></tr>' in waiting
    assert "<script>document" not in waiting
    assert "&lt;script&gt;document.title = 1&lt;/script&gt;\n\N{REPLACEMENT CHARACTER}[31mred" in waiting
    assert '<g class="running">' in training
    assert "1.5000 after step 20" in training
    assert re.search(r'<polyline class="training" points="0,[\d.]+ 1000,[\d.]+"/>', training)
    assert "<polyline" not in waiting
    assert (run / "watch.html").read_text() == "the report"


def test_a_run_that_fails_or_is_no_longer_watched_ends_with_a_page_that_does_not_reload(folder: Path) -> None:
    run = with_pipeline(a_run(Path("runs/first"), prepare="failed"))
    (page,) = watch(run, Path("page.html"))
    text = page.read_text()
    assert "Failed: 0 of 2 nodes are done." in text
    assert "The run has ended" in text
    assert "<td>not run</td>" in text
    assert "script" not in text

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with locked(run), pytest.raises(KeyboardInterrupt):
        list(watch(run, page, interrupt))
    assert "No longer watched" in page.read_text()
    assert "location.reload" not in page.read_text()


def test_a_run_without_its_pipeline_shows_the_nodes_that_have_started(folder: Path) -> None:
    run = a_run(Path("runs/first"), say="completed", more="interrupted")
    (page,) = watch(run)
    assert page.read_text().count("<rect") == 2


def test_a_real_pipeline_is_watched_to_its_end(azdistill: Command, pipeline: Writer) -> None:
    nodes = {"say": "echo hello", "fail": "exit 1"}
    assert azdistill("run", pipeline(nodes), "-o", "runs/said", "--jobs", "1").code == 1
    done = azdistill("report", "said", "--watch")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[0] == f"open in a browser: {Path('runs/said/watch.html').resolve().as_uri()}"
    assert "Failed: 1 of 2 nodes are done." in Path("runs/said/watch.html").read_text()


def test_the_path_of_a_report_or_what_to_do(azdistill: Command) -> None:
    run = a_run(Path("runs/first"), train="failed")
    assert azdistill("report", "none").code == 2
    done = azdistill("report", "first")
    assert (done.code, "failed, without a report" in done.err) == (2, True)
    assert done.err.endswith("see its logs: azdistill logs first\n")
    a_run(Path("runs/my run"), train="failed")
    assert azdistill("report", "my run").err.endswith("azdistill logs 'my run'\n")
    assert azdistill("report", "first", "-o", "page.html").code == 2
    (run / "report/report").mkdir(parents=True)
    (run / "report/report/report.html").touch()
    assert azdistill("report", "first").out == "runs/first/report/report/report.html\n"


def test_a_folder_without_a_run_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        list(watch(Path("none")))
    assert [problem.code for problem in caught.value.problems] == ["no_run"]


def test_nodes_are_drawn_to_the_right_of_those_that_they_need() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a", "elsewhere"], "d": ["a", "b", "c"], "a-very-long-name-of-a-node": []}
    drawn = graph(needs)
    left = {box.name: box.x for box in drawn.boxes}
    assert all(left[source] + BOX_WIDTH < left[name] for name in needs for source in needs[name] if source in left)
    assert len(drawn.edges) == 4
    assert len({(box.x, box.y) for box in drawn.boxes}) == len(needs)
    assert all(box.x >= 0 and box.x + BOX_WIDTH <= drawn.width for box in drawn.boxes)
    assert drawn.boxes[-1].label == "a-very-long-name-\N{HORIZONTAL ELLIPSIS}"
    assert graph({}).boxes == ()
