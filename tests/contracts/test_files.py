"""A file that exists is complete, and so is a folder with a manifest."""

import os
import stat
from pathlib import Path

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows, write_rows, write_text
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.rows import Message, Reject, prompt_id


def test_rows_are_read_as_written(tmp_path: Path) -> None:
    rows = [Reject(source="a.jsonl:1", reason="empty", detail="é\u2028\n")]
    assert write_rows(tmp_path / "r.jsonl", rows) == 1
    assert list(read_rows(tmp_path / "r.jsonl", Reject)) == rows


def test_a_wrong_row_is_a_problem_with_its_line(tmp_path: Path) -> None:
    write_text(tmp_path / "r.jsonl", '{"source":"a","reason":"b","detail":"c"}\n{"source":\n')
    with pytest.raises(DataError) as error:
        list(read_rows(tmp_path / "r.jsonl", Reject))
    (problem,) = error.value.problems
    assert (problem.code, problem.file, problem.line) == ("invalid_row", tmp_path / "r.jsonl", 2)
    assert problem.message.startswith("not a Reject (")


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "f", "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_a_folder_with_a_manifest_is_complete(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "out")
    write_text(folder / "a.txt", "a")
    with pytest.raises(DataError, match="did not finish"):
        read_manifest(folder)
    close_folder(folder, "prepare", {"train": 1})
    assert read_manifest(folder).counts == {"train": 1}
    open_folder(folder)
    with pytest.raises(DataError):
        read_manifest(folder)


def test_equal_messages_have_equal_ids() -> None:
    messages = (Message(role="user", content="a"),)
    assert prompt_id(messages) == prompt_id(messages) != prompt_id((Message(role="user", content="b"),))


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_files_follow_the_umask(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "answers.jsonl", "{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "answers.jsonl").stat().st_mode) == mode
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]
