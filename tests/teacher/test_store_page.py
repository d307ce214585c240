"""docs/store.md agrees with the code. Its guarantees are tested in the other test_store files."""

import re
import shlex
from hashlib import sha256
from pathlib import Path

import pytest

from azdistill.contracts.requests import STORE_PATH
from azdistill.engine.local.storage import datastore_path
from azdistill.teacher.store.compaction import LARGEST_BYTES
from azdistill.teacher.store.records import decode, encode, key_of
from azdistill.teacher.store.writer import LOCAL_WINDOW_S, MOUNT_WINDOW_S
from tests.cli.conftest import azdistill, folder  # noqa: F401
from tests.teacher.stores import stored

TEXT = (Path(__file__).parents[2] / "docs/store.md").read_text(encoding="utf-8")


def test_the_line_on_the_page_is_a_record():
    line = re.search(r"```json\n(.*\n)```", TEXT)[1].encode()
    assert key_of(line) == sha256(b"example").hexdigest()
    assert encode(decode(line)) == line


def test_the_figures_on_the_page_are_those_of_the_code():
    assert f"{LOCAL_WINDOW_S * 1000:.0f} ms plus the time of the sync" in TEXT
    assert TEXT.count(f"{MOUNT_WINDOW_S:.0f} s on a mount") == TEXT.count(f"within {MOUNT_WINDOW_S:.0f} s") == 1
    assert f"up to {LARGEST_BYTES // 1024**2} MB" in TEXT
    assert str(datastore_path(STORE_PATH, Path("/h")).relative_to("/h")) in TEXT


@pytest.mark.parametrize("command", re.findall(r"^azdistill (store.*?) *#", TEXT, re.MULTILINE))
def test_the_commands_on_the_page_work(tmp_path, azdistill, command):  # noqa: F811
    home = datastore_path(STORE_PATH, tmp_path / "home")
    home.mkdir(parents=True)
    (home / "run-0-0.jsonl").write_bytes(encode(stored(sha256(b"example").hexdigest())))
    assert azdistill(*shlex.split(command)).code == 0
