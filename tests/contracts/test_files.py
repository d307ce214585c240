"""What has its name is whole, and what has a manifest is complete."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows, write_rows, write_text
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.rows import Message, Reject, prompt_id


def test_rows_survive_the_file(tmp_path: Path) -> None:
    rows = [Reject(source="a.jsonl:1", reason="empty", detail="é\u2028\n")]
    assert write_rows(tmp_path / "r.jsonl", rows) == 1
    assert list(read_rows(tmp_path / "r.jsonl", Reject)) == rows


def test_a_broken_row_names_file_and_line(tmp_path: Path) -> None:
    write_text(tmp_path / "r.jsonl", '{"source":"a","reason":"b","detail":"c"}\n{"source":\n')
    with pytest.raises(DataError, match=r"r\.jsonl:2: not a Reject"):
        list(read_rows(tmp_path / "r.jsonl", Reject))


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    write_text(tmp_path / "f", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "f", "\ud800")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("f", "old")]


def test_a_folder_is_complete_when_its_manifest_is_there(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "out")
    write_text(folder / "a.txt", "a")
    with pytest.raises(DataError, match="did not finish"):
        read_manifest(folder)
    close_folder(folder, "prepare", {"train": 1})
    assert read_manifest(folder).counts == {"train": 1}
    open_folder(folder)
    with pytest.raises(DataError):
        read_manifest(folder)


def test_the_id_is_the_content() -> None:
    one = (Message(role="user", content="a"),)
    assert prompt_id(one) == prompt_id(one) != prompt_id((Message(role="user", content="b"),))
