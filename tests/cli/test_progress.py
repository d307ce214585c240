"""Progress of a run: a live table on a terminal, plain lines elsewhere."""

import io
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from azdistill.cli.live_table import LiveTable
from azdistill.cli.progress import ProgressLines, last_line, progress
from azdistill.engine.local.records import NodeState
from azdistill.engine.local.results import Event, NodeRun
from tests.cli.conftest import AZDISTILL, Writer, command

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_long_node_shows_the_last_line_of_its_log_from_time_to_time(tmp_path: Path) -> None:
    out, log = io.StringIO(), tmp_path / "log.txt"
    log.write_text("teacher: Terminated\n")  # by the attempt before, which was interrupted
    lines = ProgressLines(out, period_s=0)
    for number in range(5):  # the same line is not printed twice
        lines(Event({"teacher": NodeRun("teacher", "running", log)}))
        if number == 1:
            log.write_text("loading\nteacher: 120/2400 (35.1/s, 65 s left)\n")
    log.write_text("teacher: 2400 of 2400 rows are answered\n")
    lines(Event({"teacher": NodeRun("teacher", "completed", log, 31.24, 0)}))
    assert out.getvalue().splitlines() == [
        "teacher: started",
        "teacher: 120/2400 (35.1/s, 65 s left)",
        "teacher: 2400 of 2400 rows are answered",
        "teacher: completed in 31.2 s",
    ]


def test_a_short_node_shows_only_its_start(tmp_path: Path) -> None:
    out = io.StringIO()
    lines = ProgressLines(out)
    for _ in range(3):
        lines(Event({"say": NodeRun("say", "running", tmp_path / "log.txt")}))
    assert out.getvalue() == "say: started\n"


def test_the_log_of_a_single_node_is_shown_as_it_is_written(tmp_path: Path) -> None:
    out, log = io.StringIO(), tmp_path / "log.txt"
    log.write_text("by the attempt before, which was interrupted\n")
    with progress(out) as show:
        show(Event({"fit": NodeRun("fit", "waiting", log)}))
        show(Event({"fit": NodeRun("fit", "running", log)}))
        for text in ("loading\n\tepo", "ch 1\n", "", " 10%\r 90%\r100%\n\x1b[2J\xff", "\n\n", "done"):
            with log.open("ab") as stream:
                stream.write(text.encode("latin-1"))
            show(Event({"fit": NodeRun("fit", "running", log)}))
        show(Event({"fit": NodeRun("fit", "completed", log, 1.0, 0)}))
    assert out.getvalue().split("\n") == [
        "fit: started",
        "loading",
        "        epoch 1",
        "100%",
        "\\x1b[2J\N{REPLACEMENT CHARACTER}",
        "",
        "done",
        "fit: completed in 1.0 s",
        "",
    ]
    with progress(out) as show:
        show(Event({"fit": NodeRun("fit", "reused", log)}))
    assert out.getvalue().endswith("fit: reused; --from fit runs it again\n")


def test_a_node_that_could_not_be_started_has_no_exit_code(tmp_path: Path) -> None:
    out, log = io.StringIO(), tmp_path / "log.txt"
    log.write_text("azdistill: could not be started: Argument list too long\n")
    with progress(out) as show:
        show(Event({"a": NodeRun("a", "failed", log, 0.0)}))
    assert out.getvalue() == "a: failed after 0.0 s\n"


def test_the_last_line_of_a_log_is_its_last_one_with_text(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_line(log) == ""
    log.write_bytes(b"x" * 10_000 + b"\n 10%\r 20%\r\n\n\xff\n  \n")
    assert last_line(log) == "\N{REPLACEMENT CHARACTER}"
    log.write_bytes(b" 10%\r 20%\r")
    assert last_line(log) == "20%"


def test_a_terminal_shows_a_table_that_is_rerendered(pipeline: Writer) -> None:
    read = command("cat ${{inputs.x}}", inputs={"x": "${{parent.jobs.bad.outputs.x}}"})
    bad = command("echo broken; exit 7", outputs={"x": {"type": "uri_folder"}})
    nodes = {"good": "sleep 0.5; echo fine", "bad": bad, "after": read}
    path = pipeline(nodes, settings={"continue_on_step_failure": True})
    code, shown = on_a_terminal("run", path, "-o", "r")
    assert code == 1
    last_table = ESCAPES.sub(b"", shown[shown.rindex(b"\x1b[2K") :]).decode()
    assert re.search(r"good +completed +\d\.\d s +fine", last_table)
    assert re.search(r"bad +failed +\d\.\d s +broken", last_table)
    assert re.search(r"after +skipped", last_table)
    assert "node bad exited with 7" in last_table
    assert shown.count(b"\x1b[?25l") == shown.count(b"\x1b[?25h") == 1  # the cursor is hidden once, and shown again


def rendered(event: Event, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as shown:
        console.print(LiveTable().render(event, console.width, height))
    return [" ".join(line.split()) for line in shown.get().splitlines()]


def test_nodes_of_a_pipeline_component_are_listed_below_its_name(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("half way\n")
    states: dict[str, NodeState] = {
        "make": "reused",
        "both.mark": "completed",
        "both.repeat": "running",
        "last": "waiting",
    }
    nodes = {name: NodeRun(name, state, log, seconds=2.0 * (state == "completed")) for name, state in states.items()}
    assert rendered(Event(nodes), height=10) == [
        "make reused", "both", "mark completed 2.0 s half way", "repeat running 0 s half way", "last waiting",
    ]  # fmt: skip


def test_of_more_nodes_than_lines_the_running_and_failed_ones_are_shown(tmp_path: Path) -> None:
    states: list[NodeState] = [*["completed"] * 40, "failed", *["running"] * 2, *["waiting"] * 60]
    nodes = {f"n{number}": NodeRun(f"n{number}", state, tmp_path / "log.txt") for number, state in enumerate(states)}
    assert rendered(Event(nodes), height=5) == [
        "n38 completed", "n39 completed", "n40 failed", "n41 running 0 s", "n42 running 0 s",
        "and 98 more 40 completed, 1 failed, 2 running, 60 waiting",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 120])
def test_names_states_and_times_are_shown_at_any_width(tmp_path: Path, width: int) -> None:
    log, name = tmp_path / "log.txt", "predict_baseline_with_a_very_long_name_and_more_words_than_a_terminal_has"
    log.write_text(f"teacher: {'漢字' * 50} {'long ' * 100}\n")
    nodes = {name: NodeRun(name, "running", log), "teacher": NodeRun("teacher", "completed", log, 11231.24)}
    terminal = Console(file=io.StringIO(), width=width)
    with terminal.capture() as shown:
        terminal.print(LiveTable().render(Event(nodes), width, 10))
    first, second = shown.get().splitlines()
    assert re.match(r"predic\S*…\S*l_has +running +0 s  t", first)
    assert re.match(r"teacher +completed  11231\.2 s  漢", second)
    assert max(cell_len(line) for line in (first, second)) <= width


def test_a_dumb_terminal_gets_plain_lines(pipeline: Writer) -> None:
    code, shown = on_a_terminal("run", pipeline({"say": "echo hello"}), TERM="dumb")
    assert (code, b"\x1b" in shown) == (0, False)
    assert b"say: started\r\n" in shown


def on_a_terminal(*arguments: str | Path, **variables: str) -> tuple[int, bytes]:
    """Run the command on a pseudo-terminal: its exit code, and its output."""
    terminal, process_end = pty.openpty()
    process = subprocess.Popen(
        [*AZDISTILL, *map(str, arguments)],
        env={**os.environ, "TERM": "xterm", **variables},
        stdin=process_end,
        stdout=process_end,
        stderr=process_end,
    )
    os.close(process_end)
    shown = b"".join(iter(lambda: _read(terminal), b""))
    os.close(terminal)
    return process.wait(), shown


def _read(handle: int) -> bytes:
    """Empty at the end: Linux raises EIO when the other end is closed."""
    try:
        return os.read(handle, 65536)
    except OSError:
        return b""
