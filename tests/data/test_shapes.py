"""Every shape of data is read, and damaged files and rows are refused or rejected."""

import gzip
import json
import lzma
import random
import zipfile

import pyarrow
import pytest

from azdistill.contracts.errors import DataError
from azdistill.data.cases import read_cases
from azdistill.tasks.formats import detect_format
from azdistill.tasks.records import MAX_ROW_BYTES, read_records
from azdistill.tasks.registry import TASKS
from tests.data.shapes import CSV, PAIR, SHAPES, Shape, arrow, jsonl, parquet


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_shape_is_read(shape: Shape, tmp_path):
    path = tmp_path / shape.file
    path.write_bytes(shape.content)
    cases, rejects = read_cases(path, TASKS[shape.task])
    assert rejects == []
    read = [(tuple((turn.role, turn.content) for turn in case.case.messages), case.case.gold) for case in cases]
    assert read == [(shape.messages, shape.gold)] * 2


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("rows.csv.gz", gzip.compress(CSV), "CSV, gzip"),
        ("rows.tsv", CSV.replace(b",", b"\t"), "TSV"),
        ("rows.csv", parquet(PAIR), "Parquet"),
        ("rows.json", jsonl(PAIR), "JSONL"),
        ("rows.jsonl", b"no, JSON\n" + jsonl(PAIR), "JSONL"),
    ],
    ids=["gzip", "TSV", "Parquet", "JSONL", "broken row"],
)
def test_the_format_is_that_of_the_content(tmp_path, file, content, expected):
    (tmp_path / file).write_bytes(content)
    assert str(detect_format(tmp_path / file)) == expected


LONG = {"prompt": "x" * (MAX_ROW_BYTES + 200_000), "completion": "a"}
ROWS = jsonl(*[{"prompt": str(random.Random(number).random()), "completion": "yes"} for number in range(5000)])
DAMAGED = {
    "gzip that is cut": gzip.compress(ROWS)[:-2000],
    "gzip with a wrong byte": gzip.compress(ROWS)[:-2000] + b"x" * 2000,
    "zstd that is cut": pyarrow.compress(ROWS, "zstd", asbytes=True)[:-2000],
    "Parquet that is cut": parquet(PAIR)[:-20],
    "Arrow file that is cut": arrow(PAIR)[:-20],
    "Arrow stream that is cut": arrow(PAIR, PAIR, stream=True)[:-100],
    "JSON array that is cut": json.dumps([PAIR, PAIR], indent=1).encode()[:-20],
    "JSON array with text after it": json.dumps([PAIR, PAIR], indent=1).encode() + b"x",
    "CSV with two equal columns": b"prompt,prompt\na,b\n",
    "UTF-16": ROWS.decode().encode("utf-16"),
    "xz": lzma.compress(ROWS),
    "JSON array without rows": b"[]",
    "CSV without rows": b"prompt,completion\n",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        list(read_records(path))
    (problem,) = raised.value.problems
    assert problem.file == path
    assert problem.fix
    assert "\n" not in problem.message


def test_an_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "rows.zip", "w") as archive:
        archive.writestr("rows.jsonl", ROWS)
    with pytest.raises(DataError, match="a zip archive"):
        list(read_records(tmp_path / "rows.zip"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (jsonl(PAIR) + b'{"prompt": "caf\xe9"}\n' + jsonl(PAIR), "not_utf8"),
        (jsonl(PAIR) + b'{"prompt": "' + b"x" * MAX_ROW_BYTES + b'"}\n' + jsonl(PAIR), "row_too_long"),
        (json.dumps([PAIR, LONG, PAIR]).encode(), "row_too_long"),
        (parquet(PAIR, LONG, PAIR), "row_too_long"),
        (arrow(PAIR, LONG, PAIR, stream=True), "row_too_long"),
        (json.dumps([PAIR, 3, PAIR], indent=1).encode(), "not_an_object"),
        (
            CSV.replace(b"\n", b",\n").replace(b"completion,", b"completion").replace(b"France.,", b"France.", 1),
            "ragged_row",
        ),
        (b"prompt,completion\na,b\ncaf\xe9,b\nc,d\n", "not_unicode"),
    ],
    ids=[
        "UTF-8",
        "length",
        "length in an array",
        "length in Parquet",
        "length in Arrow",
        "object",
        "fields",
        "half a character",
    ],
)
def test_a_damaged_row_is_rejected(tmp_path, content, reason):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    cases, rejects = read_cases(path, TASKS["conversation"])
    assert [reject.reason for reject in rejects] == [reason]
    assert rejects[0].source in ("rows.jsonl:2", "rows.jsonl:3")
    assert cases


def test_no_content_is_an_unexpected_error(tmp_path):
    """Files with random changes: rows, rejected rows or DataError."""
    path, rng = tmp_path / "rows", random.Random(0)
    outcomes = set()
    for number in range(400):
        content = bytearray(SHAPES[number % len(SHAPES)].content)
        for _ in range(rng.randrange(1, 6)):
            content[rng.randrange(len(content))] = rng.choice(b'{}[]",:\x00\xff\n a1')
        path.write_bytes(content[: rng.randrange(1, len(content) + 1)])
        try:
            cases, rejects = read_cases(path, TASKS["conversation"])
            outcomes |= {"rows"} if cases else set()
            outcomes |= {"rejects"} if rejects else set()
        except DataError:
            outcomes.add("error")
    assert outcomes == {"rows", "rejects", "error"}
