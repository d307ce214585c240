"""Text from outside cannot control the terminal: all output of the command line passes through one filter."""

import ast
import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

import azdistill.cli
from azdistill.cli.live_table import LiveTable
from azdistill.cli.progress import ProgressLines
from azdistill.cli.render import PrintableStream, console, framed_table, print_text
from azdistill.engine.local.results import Event, NodeRun
from azdistill.teacher.replies import Answer
from azdistill.teacher.store import StoredAnswer
from tests.cli.conftest import Command, Writer
from tests.teacher.stores import filled

HOSTILE = "\x1b]0;title\x07\x1b[2Jx\x9b31m\u202etxt.exe\u2066"
CONTROLS = set(HOSTILE) - set("]0;title[2Jx31mtxt.exe")


def test_commands_print_through_the_filter_only() -> None:
    for path in Path(azdistill.cli.__path__[0]).glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert path.name == "render.py" or not {"print", "Console"} & names, path


@pytest.mark.parametrize("as_table", [False, True])
def test_tables_and_text_are_filtered(as_table: bool) -> None:
    stream = io.StringIO()
    if as_table:
        table = Table()
        table.add_column(Text(HOSTILE))
        table.add_row(Text(HOSTILE))
        console(stream).print(table)
    else:
        print_text(HOSTILE, HOSTILE, file=stream)
        PrintableStream(stream).write(HOSTILE)
    assert not CONTROLS & set(stream.getvalue())
    assert "title" in stream.getvalue()


def test_no_word_of_a_narrow_table_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("azdistill.cli.render.WIDTH", 20)
    console(stream).print(framed_table(["node", "compute"], [["predict_student", "Standard_E4s_v3"]]))
    lines = [line.split("│")[1:3] for line in stream.getvalue().splitlines() if "│" in line]
    assert ["".join(map(str.strip, column)) for column in zip(*lines, strict=True)] == [
        "predict_student",
        "Standard_E4s_v3",
    ]


def test_letters_that_the_locale_lacks_are_escaped(folder: Path, start: Any) -> None:
    (folder / "rows.jsonl").write_text('{"prompt": "Where is Köln?", "response": "There."}\n', encoding="utf-8")
    out, err = start("data", "show", "rows.jsonl", PYTHONIOENCODING="ascii").communicate()
    assert (err, "user: Where is K\\xf6ln?" in out) == ("", True)


def test_the_last_line_of_a_log_is_filtered(tmp_path: Path) -> None:
    stream = io.StringIO()
    show = ProgressLines(stream, period_s=0)
    for text in ("", f"{HOSTILE}\n"):
        (tmp_path / "log.txt").write_text(text)
        show(Event({"a": NodeRun("a", "running", tmp_path / "log.txt")}))
    assert "title" in stream.getvalue()
    assert not CONTROLS & set(stream.getvalue())


def test_the_live_table_shows_no_link_of_a_log(tmp_path: Path) -> None:
    link = "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\"
    (tmp_path / "log.txt").write_text(f"{link} \x1b[31mred\n")
    stream = io.StringIO()
    table = LiveTable().render(Event({"a": NodeRun("a", "running", tmp_path / "log.txt")}), 80, 10)
    Console(file=stream, force_terminal=True, color_system="truecolor").print(table)
    assert "click red" in stream.getvalue()
    assert "evil" not in stream.getvalue()


def test_a_stored_answer_and_keys_of_files_are_filtered(azdistill: Command, folder: Path, pipeline: Writer) -> None:
    answer = Answer(HOSTILE, "stop", 1, 1)
    filled(folder / "store", "a", StoredAnswer("abc1", f"https://h/{HOSTILE}", HOSTILE, answer, 1.0, 1_764_086_400_000))
    outputs = [azdistill("store", "store"), azdistill("store", "show", "store", "abc1")]
    as_json = azdistill("store", "show", "store", "abc1", "--format", "json")
    assert json.loads(as_json.out)["outcome"]["completion"] == HOSTILE
    (folder / "job.yaml").write_text(json.dumps({"task": "qa", HOSTILE: 1}))
    outputs += [as_json, azdistill("validate", "job.yaml")]
    for done in outputs:
        assert not CONTROLS & set(done.out + done.err)
        assert "txt.exe" in done.out + done.err
