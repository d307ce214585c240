"""azdistill store: what the teacher answered, at a glance, one by one, and in fewer files."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from azdistill.contracts.requests import STORE_PATH
from azdistill.engine.local.storage import datastore_path
from azdistill.teacher.replies import Answer
from azdistill.teacher.store import StoredAnswer
from tests.cli.conftest import AZDISTILL, Command
from tests.cli.test_help import imported
from tests.teacher.stores import filled, refused, segments, stored


@pytest.fixture
def store(folder: Path) -> Path:
    """Two teachers, a refusal, an answer that was bought twice, an incomplete line."""
    cut = StoredAnswer("abd2", "https://other", "n", Answer("Well", "length", 10, 1024), 12.3, 1_764_086_400_000)
    filled(folder / "store", "a", stored("abc1", "Yes.\nIt is."), refused("zz9"), cut)
    filled(folder / "store", "b", stored("abc1", "bought again", when=1_764_000_001_000))
    (folder / "store/c.jsonl").write_bytes(b"torn")
    return folder / "store"


SHOWN = """\
item              value
folder            store
segments          3
bytes             {bytes}
rows              4, of 3 keys
unreadable lines  1
oldest            2025-11-24T16:00:00Z
newest            2025-11-25T16:00:00Z
finish reasons    stop 2, length 1
refused for       content_filter 1
teacher  answers  refusals  prompt tokens  completion tokens
m        2        1         6              2
n        1        0         10             1,024
"""


def test_a_store_at_a_glance(azdistill: Command, store: Path) -> None:
    done = azdistill("store", "store")
    size = sum(path.stat().st_size for path in store.glob("*.jsonl"))
    assert (done.code, done.out, done.err) == (0, SHOWN.format(bytes=f"{size:,}"), "")


def test_the_same_for_programs(azdistill: Command, store: Path) -> None:
    summary = json.loads(azdistill("store", "store", "--format", "json").out)
    assert (summary["rows"], summary["keys"], summary["segments"], summary["unreadable"]) == (4, 3, 3, 1)
    assert summary["finish_reasons"] == {"stop": 2, "length": 1}
    assert summary["teachers"]["n"] == {"answers": 1, "refusals": 0, "prompt_tokens": 10, "completion_tokens": 1024}


def test_without_a_folder_it_is_the_store_that_runs_share(azdistill: Command, folder: Path) -> None:
    shared = datastore_path(STORE_PATH, folder / "home")
    assert shared
    filled(shared, "run", stored("abc1"))
    assert json.loads(azdistill("store", "--format", "json").out)["folder"] == str(shared)
    assert azdistill("store", "show", "abc1").out.endswith("\nyes\n")
    assert azdistill("store", "compact").code == 0
    assert json.loads(azdistill("store", "home", "--format", "json").out)["rows"] == 1
    assert "this folder has no segments" in azdistill("store", folder).out


def test_a_table_has_lines_on_a_terminal(store: Path) -> None:
    controller, terminal = pty.openpty()
    subprocess.run([*AZDISTILL, "store", str(store)], stdout=terminal, check=True)
    os.close(terminal)
    assert "│ rows" in os.read(controller, 100_000).decode()
    os.close(controller)


def test_a_record_is_shown_by_the_beginning_of_its_key(azdistill: Command, store: Path) -> None:
    done = azdistill("store", "show", "store", "abc")
    assert done.out.endswith("latency        0.25 s\nfinish reason  stop\ntokens         3 in, 1 out\nYes.\nIt is.\n")
    assert "m at https://host" in done.out
    assert "refused for  content_filter\n" in azdistill("store", "show", "store", "z").out
    record = json.loads(azdistill("store", "show", "store", "abd2", "--format", "json").out)
    assert (record["when"], record["outcome"]["completion"], record["latency_s"]) == (
        "2025-11-25T16:00:00Z",
        "Well",
        12.3,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "store", "q"], "no key starts with 'q'"),
        (["show", "store", "ab"], "2 keys start with 'ab'; type more of the key: abc1, abd2\n"),
        (["show", "a", "b", "c"], "must be one folder and the start of one key"),
        (["nowhere"], "'nowhere': no such folder"),
        (["show", "nowhere", "a"], "'nowhere': no such folder"),
        (["compact", "nowhere"], "'nowhere': no such folder"),
    ],
)
@pytest.mark.usefixtures("store")
def test_wrong_input_is_one_line(azdistill: Command, arguments: list[str], message: str) -> None:
    done = azdistill("store", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err


def test_a_store_of_a_newer_version_is_an_error_that_says_what_to_do(azdistill: Command, store: Path) -> None:
    (store / "new.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    for arguments in (["store"], ["show", "store", "a"], ["compact", "store"]):
        done = azdistill("store", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
        assert "update azdistill" in done.err


def test_a_compaction_tells_what_it_dropped(azdistill: Command, store: Path) -> None:
    done = azdistill("store", "compact", "store")
    assert done.out == ("store: segments 3 before, 1 now; records kept 3\ndropped: repeated 1, unreadable 1\n")
    assert len(segments(store)) == 1
    again = json.loads(azdistill("store", "compact", "store", "--forget-refusals", "--format", "json").out)
    assert (again["kept"], again["refusals_forgotten"]) == (2, 1)


@pytest.mark.parametrize("verb", [["store"], ["store", "inspect"], ["store", "show"], ["store", "compact"]])
def test_help_gives_an_example_and_the_exit_codes(azdistill: Command, verb: list[str]) -> None:
    done = azdistill(*verb, "--help")
    assert done.code == 0
    assert f"Example: azdistill {' '.join(verb)}" in done.out
    assert "Exit codes: 0 " in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_help_imports_nothing_heavy() -> None:
    assert imported("store", "--help") == "heavy: []"
