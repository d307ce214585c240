"""What a parallel node splits: the files of a folder, or a table in a file or behind an MLTable."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local.parallel.inputs import Files, Table, look_into
from azdistill.engine.pipeline.model import ANY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "deep/c.csv", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def defined(folder: Path, text: str, kind: str = "mltable") -> Files | Table:
    (folder / "MLTable").write_text(text)
    return look_into(folder, kind)


def test_a_folder_is_a_list_of_its_files_in_the_order_of_names(folder: Path) -> None:
    found = look_into(folder, "uri_folder")
    assert isinstance(found, Files)
    assert list(found.named.items()) == [
        (name, folder / name) for name in ("a.csv", "b.csv", "deep/c.csv", "note.txt")
    ]  # fmt: skip


def test_a_file_is_a_table_by_its_name_and_one_item_otherwise(folder: Path) -> None:
    assert look_into(folder / "a.csv", "uri_file") == Table((folder / "a.csv",), "csv", plain_number="rows")
    assert look_into(folder / "note.txt", "uri_file") == Files({"note.txt": folder / "note.txt"})
    (folder / "T.TSV").touch()
    assert look_into(folder / "T.TSV", ANY) == Table((folder / "T.TSV",), "csv", "\t", plain_number="rows")


def test_an_mltable_without_a_reader_is_a_list_of_files(folder: Path) -> None:
    found = defined(folder, "paths: [{pattern: './*.csv'}, {folder: ./deep}, {file: ./a.csv}]")
    assert isinstance(found, Files)
    assert list(found.named) == ["a.csv", "b.csv", "deep/c.csv"]


def test_an_mltable_with_a_reader_is_a_table(folder: Path) -> None:
    found = defined(folder, """
paths:
  - pattern: ./*.csv
transformations:
  - read_delimited: {delimiter: ";", encoding: iso88591, header: no_header}
  - keep_columns: [x, y]
  - drop_columns: z
""")  # fmt: skip
    files = (folder / "a.csv", folder / "b.csv")
    assert found == Table(files, "csv", ";", "iso-8859-1", False, ("x", "y"), ("z",))


def test_a_plain_number_counts_bytes_of_an_mltable_as_on_azure(folder: Path) -> None:
    found = defined(folder, "paths: [{file: ./a.csv}]\ntransformations: [read_json_lines]")
    assert isinstance(found, Table)
    assert (found.format, found.plain_number) == ("jsonl", "bytes")


def test_the_definition_counts_for_an_mltable_only(folder: Path) -> None:
    text = "paths: [{file: ./a.csv}]\ntransformations: [read_parquet]"
    assert isinstance(defined(folder, text, "uri_folder"), Files)
    assert isinstance(defined(folder, text, ANY), Table)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("paths: []", "paths=[]: expected a list"),
        ("paths: [{file: ./absent.csv}]", "no such file as 'absent.csv' in its folder"),
        ("paths: [{file: ../a.csv}]", "paths: {'file': '../a.csv'}: expected file, folder or pattern, within"),
        ("paths: [{file: 'https://example.org/a.csv'}]", "expected file, folder or pattern, within"),
        ("paths: [a.csv]", "paths: 'a.csv': expected file, folder or pattern, within"),
        ("paths: [{file: a.csv}]\ntransformations: [keep_columns: a]",
         "transformations begin with 'keep_columns'; expected one of read_delimited, read_json_lines, read_parquet"),
        ("paths: [{file: a.csv}]\ntransformations: [read_delimited, take: 5]",
         "transformation 'take' is not done here; do it in the entry script"),
        ("paths: [{file: a.csv}]\ntransformations: [read_delimited: {header: some}]",
         "header='some': expected no_header or one of all_files_same_headers, all_files_different_headers"),
        ("- a", "MLTable: "),
    ],
)  # fmt: skip
def test_a_definition_that_can_not_be_followed_is_told(folder: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError) as found:
        defined(folder, text)
    assert str(found.value).startswith(f"{folder / 'MLTable'}: ")
    assert problem in str(found.value)


def test_an_mltable_without_its_definition_is_told(folder: Path) -> None:
    with pytest.raises(InputError, match="MLTable: No such file or directory"):
        look_into(folder, "mltable")
