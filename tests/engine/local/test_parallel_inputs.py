"""What a parallel node splits: the files of a folder, or a table in a file or behind an MLTable."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local.parallel.inputs import FileList, Table, read_input
from azdistill.engine.pipeline.model import ANY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "deep/c.csv", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def defined(folder: Path, text: str, kind: str = "mltable") -> FileList | Table:
    (folder / "MLTable").write_text(text)
    return read_input(folder, kind)


def test_a_folder_is_a_list_of_its_files_in_the_order_of_names(folder: Path) -> None:
    found = read_input(folder, "uri_folder")
    assert isinstance(found, FileList)
    assert list(found.files.items()) == [
        (name, folder / name) for name in ("a.csv", "b.csv", "deep/c.csv", "note.txt")
    ]  # fmt: skip


def test_a_file_is_a_table_by_its_name_and_one_item_otherwise(folder: Path) -> None:
    assert read_input(folder / "a.csv", "uri_file") == Table((folder / "a.csv",), "csv", size_unit="rows")
    assert read_input(folder / "note.txt", "uri_file") == FileList({"note.txt": folder / "note.txt"})
    (folder / "T.TSV").touch()
    assert read_input(folder / "T.TSV", ANY) == Table((folder / "T.TSV",), "csv", "\t", size_unit="rows")


def test_an_mltable_without_a_reader_is_a_list_of_files(folder: Path) -> None:
    found = defined(folder, "paths: [{pattern: './*.csv'}, {folder: ./deep}, {file: ./a.csv}]")
    assert isinstance(found, FileList)
    assert list(found.files) == ["a.csv", "b.csv", "deep/c.csv"]


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


def test_a_size_unit_counts_bytes_of_an_mltable_as_on_azure(folder: Path) -> None:
    found = defined(folder, "paths: [{file: ./a.csv}]\ntransformations: [read_json_lines]")
    assert isinstance(found, Table)
    assert (found.format, found.size_unit) == ("jsonl", "bytes")


def test_the_definition_counts_for_an_mltable_only(folder: Path) -> None:
    text = "paths: [{file: ./a.csv}]\ntransformations: [read_parquet]"
    assert isinstance(defined(folder, text, "uri_folder"), FileList)
    assert isinstance(defined(folder, text, ANY), Table)


@pytest.mark.parametrize(
    ("text", "line", "field", "value", "message"),
    [
        ("paths: []", 1, "paths", None, "must be a list that is not empty"),
        ("paths: [{file: ./absent.csv}]", 1, "paths", "absent.csv", "no such file in the folder of the MLTable file"),
        ("paths: [{file: ../a.csv}]", 1, "paths", "../a.csv", "must be a file, folder or pattern in the folder"),
        ("paths: [{file: 'https://h.org/a.csv'}]", 1, "paths", "https://h.org/a.csv", "must be a file, folder or"),
        ("paths: [a.csv]", 1, "paths", "a.csv", "must be a file, folder or pattern in the folder of MLTable"),
        ("paths: [{file: a.csv}]\ntransformations: [keep_columns: a]", 2, "transformations", "keep_columns",
         "must begin with one of read_delimited, read_json_lines, read_parquet"),
        ("paths: [{file: a.csv}]\ntransformations: [read_delimited, take: 5]", 2, "transformations", "take",
         "is not supported by the local runner"),
        ("paths: [{file: a.csv}]\ntransformations: [read_delimited: {header: some}]", 1, "header", "some",
         "must be no_header or one of all_files_same_headers, all_files_different_headers"),
    ],
)  # fmt: skip
def test_an_unsupported_mltable_file_is_refused(
    folder: Path, text: str, line: int, field: str, value: object, message: str
) -> None:
    with pytest.raises(InputError) as error:
        defined(folder, text)
    (problem,) = error.value.problems
    assert (problem.file, problem.line, problem.field) == (folder / "MLTable", line, (field,))
    assert problem.value == value
    assert problem.message.startswith(message)


def test_an_mltable_file_that_is_no_mapping_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="MLTable: "):
        defined(folder, "- a")


def test_an_mltable_without_its_definition_is_told(folder: Path) -> None:
    with pytest.raises(InputError, match="MLTable: No such file or directory"):
        read_input(folder, "mltable")
