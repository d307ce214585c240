"""Inputs of parallel nodes: the files of a folder, or a table in a file or an MLTable."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local.parallel.inputs import FileList, TableInput, read_input
from azdistill.engine.pipeline.model import ANY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.csv", "deep/c.csv", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read_mltable(folder: Path, text: str, kind: str = "mltable") -> FileList | TableInput:
    (folder / "MLTable").write_text(text)
    return read_input(folder, kind)


def test_a_folder_is_a_list_of_its_files_in_the_order_of_names(folder: Path) -> None:
    data = read_input(folder, "uri_folder")
    assert isinstance(data, FileList)
    assert list(data.files.items()) == [
        (name, folder / name) for name in ("a.csv", "b.csv", "deep/c.csv", "note.txt")
    ]  # fmt: skip


def test_the_suffix_of_a_file_decides_whether_it_is_a_table(folder: Path) -> None:
    assert read_input(folder / "a.csv", "uri_file") == TableInput((folder / "a.csv",), "csv", size_unit="rows")
    assert read_input(folder / "note.txt", "uri_file") == FileList({"note.txt": folder / "note.txt"})
    (folder / "T.TSV").touch()
    assert read_input(folder / "T.TSV", ANY) == TableInput((folder / "T.TSV",), "csv", "\t", size_unit="rows")


def test_an_mltable_without_a_reader_is_a_list_of_files(folder: Path) -> None:
    data = read_mltable(folder, "paths: [{pattern: './*.csv'}, {folder: ./deep}, {file: ./a.csv}]")
    assert isinstance(data, FileList)
    assert list(data.files) == ["a.csv", "b.csv", "deep/c.csv"]


def test_an_mltable_with_a_reader_is_a_table(folder: Path) -> None:
    data = read_mltable(folder, """
paths:
  - pattern: ./*.csv
transformations:
  - read_delimited: {delimiter: ";", encoding: iso88591, header: no_header}
  - keep_columns: [x, y]
  - drop_columns: z
""")  # fmt: skip
    files = (folder / "a.csv", folder / "b.csv")
    assert data == TableInput(files, "csv", ";", "iso-8859-1", False, ("x", "y"), ("z",))


def test_a_size_without_unit_counts_bytes_of_an_mltable_as_on_azure(folder: Path) -> None:
    data = read_mltable(folder, "paths: [{file: ./a.csv}]\ntransformations: [read_json_lines]")
    assert isinstance(data, TableInput)
    assert (data.format, data.size_unit) == ("jsonl", "bytes")


def test_the_mltable_file_is_ignored_in_a_uri_folder(folder: Path) -> None:
    text = "paths: [{file: ./a.csv}]\ntransformations: [read_parquet]"
    assert isinstance(read_mltable(folder, text, "uri_folder"), FileList)
    assert isinstance(read_mltable(folder, text, ANY), TableInput)


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
         "is not supported in a local run"),
        ("paths: [{file: a.csv}]\ntransformations: [read_delimited: {header: some}]", 1, "header", "some",
         "must be no_header or one of all_files_same_headers, all_files_different_headers"),
    ],
)  # fmt: skip
def test_an_unsupported_mltable_file_is_refused(
    folder: Path, text: str, line: int, field: str, value: object, message: str
) -> None:
    with pytest.raises(InputError) as error:
        read_mltable(folder, text)
    (problem,) = error.value.problems
    assert (problem.file, problem.line, problem.field) == (folder / "MLTable", line, (field,))
    assert problem.value == value
    assert problem.message.startswith(message)


def test_an_mltable_file_that_is_no_mapping_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="MLTable: "):
        read_mltable(folder, "- a")


def test_a_missing_mltable_file_is_reported(folder: Path) -> None:
    with pytest.raises(InputError, match="MLTable: No such file or directory"):
        read_input(folder, "mltable")
