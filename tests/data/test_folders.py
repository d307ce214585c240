"""Folders of shards, and MLTables: which files are read, in which order, and what is refused."""

import gzip
import json
from pathlib import Path

import pytest

from azdistill.contracts.errors import DataError
from azdistill.data.cases import read_cases
from azdistill.data.preview import preview
from azdistill.tasks.records import count_rows, read_records
from azdistill.tasks.registry import TASKS
from tests.data.shapes import arrow, jsonl, parquet

# https://learn.microsoft.com/azure/machine-learning/reference-yaml-mltable
MLTABLE = """\
type: mltable
paths:
  - pattern: ./*.csv
transformations:
  - read_delimited:
      delimiter: ','
      encoding: utf8
      header: all_files_same_headers
"""


def pair(number: int) -> dict[str, str]:
    return {"prompt": f"Question {number}?", "completion": "Yes."}


def write(folder: Path, **files: bytes) -> Path:
    """The folder with these files; `__` in a name is `/`, `_DOT_` a dot."""
    for name, content in files.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def sources(path: Path) -> list[str]:
    return [source for source, _ in read_records(path)]


def test_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Shards as Spark writes them, of logs by date, and other files of the folder."""
    write(
        tmp_path,
        part_DOT_2_DOT_jsonl=jsonl(pair(3)),
        **{
            "part-00000": jsonl(pair(0), pair(1)),
            "part-00001_DOT_gz": gzip.compress(jsonl(pair(2))),
            "2026__11__log_DOT_parquet": parquet(pair(4)),
            "part-00002": b"",
            "part-00003_DOT_gz": gzip.compress(b""),
            "_SUCCESS": b"",
            "README_DOT_md": b"# rows",
            "LICENSE": b"MIT",
            "_DOT_hidden_DOT_jsonl": b"no JSON",
            "_delta_log__0_DOT_json": b"no JSON",
            "_DOT_git__x_DOT_jsonl": b"no JSON",
        },
    )
    assert sources(tmp_path) == [
        "2026/11/log.parquet:1",
        "part-00000:1",
        "part-00000:2",
        "part-00001.gz:1",
        "part.2.jsonl:1",
    ]
    assert count_rows(tmp_path) == 5
    read = preview(tmp_path, TASKS["conversation"])
    assert (read.format, read.rows, read.references) == ("JSONL; JSONL, gzip; Parquet; 6 files", 5, 5)


def test_a_reject_and_an_error_name_the_shard(tmp_path: Path) -> None:
    write(tmp_path, a_DOT_jsonl=jsonl(pair(0)) + b"{broken\n", b_DOT_csv=b"prompt,prompt\n1,2\n")
    with pytest.raises(DataError, match=r"b\.csv:1: has two columns 'prompt'"):
        sources(tmp_path)
    (tmp_path / "b.csv").write_bytes(b"prompt,completion\n1,2\n1,2,3\n")
    _, rejects = read_cases(tmp_path, TASKS["conversation"])
    assert [(reject.source, reject.reason) for reject in rejects] == [
        ("a.jsonl:2", "broken_json"),
        ("b.csv:3", "ragged_row"),
    ]


def test_a_folder_that_datasets_saved_is_read(tmp_path: Path) -> None:
    """The files of `Dataset.save_to_disk`. Source: https://huggingface.co/docs/datasets/about_arrow"""
    state = {"_data_files": [{"filename": "data-00000-of-00002.arrow"}], "_fingerprint": "1", "_split": "train"}
    for number in range(2):
        shard = arrow(pair(number), stream=True)
        (tmp_path / f"data-0000{number}-of-00002.arrow").write_bytes(shard)
    write(tmp_path, state_DOT_json=json.dumps(state).encode(), dataset_info_DOT_json=b'{"features": {}}')
    assert sources(tmp_path) == ["data-00000-of-00002.arrow:1", "data-00001-of-00002.arrow:1"]


def test_the_splits_of_a_data_set_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, **{"train-00000_DOT_parquet": parquet(pair(0)), "test-00000_DOT_parquet": parquet(pair(1))})
    with pytest.raises(DataError, match=r"several splits: test-00000\.parquet, train-00000\.parquet; name the files"):
        sources(tmp_path)
    write(tmp_path / "one", **{"train__a_DOT_jsonl": jsonl(pair(0)), "training-2_DOT_jsonl": jsonl(pair(1))})
    assert len(sources(tmp_path / "one")) == 2


def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    write(tmp_path, README_DOT_md=b"# rows")
    with pytest.raises(DataError, match="the folder has no data file"):
        sources(tmp_path)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write(tmp_path, a_DOT_csv=b"prompt,completion\nQ,A\n", b_DOT_csv=b"prompt,completion\nQ;1,A\n", c_DOT_jsonl=b"x")
    (tmp_path / "MLTable").write_text(MLTABLE)
    return tmp_path


def test_an_mltable_selects_files_and_their_format(table: Path) -> None:
    assert sources(table) == ["a.csv:2", "b.csv:2"]
    (table / "MLTable").write_text(
        "paths:\n  - file: ./b.csv\ntransformations:\n  - read_delimited: {delimiter: ';'}\n"
    )
    (table / "b.csv").write_bytes(b"prompt;completion\nQ, 1;A\n")
    assert list(read_records(table)) == [("b.csv:2", {"prompt": "Q, 1", "completion": "A"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (MLTABLE.replace("read_delimited", "read_delta_lake"), "transformations='read_delta_lake' is not read; only"),
        (MLTABLE + "  - take: 3\n", "is not read; keep only one that reads"),
        (MLTABLE.replace("all_files_same_headers", "no_header"), "read_delimited: header='no_header' is not read"),
        (MLTABLE.replace("utf8", "latin1"), "read_delimited: encoding='latin1' is not read"),
        (MLTABLE.replace("./*.csv", "../*.csv"), r"paths: pattern='\.\./\*\.csv' is not read; write a path inside"),
        (MLTABLE.replace("./*.csv", "https://a.blob.core.windows.net/b/*.csv"), "write a path inside the folder"),
        (MLTABLE.replace("./*.csv", "./*.parquet"), "paths: no such pattern"),
        ("paths: 3\n", "has no paths"),
        ("a: [", "is no YAML"),
        ("paths: [{file: c.jsonl}]\ntransformations: [read_parquet]\n", r"c\.jsonl: is JSONL, and the MLTable says"),
    ],
)
def test_an_mltable_that_is_not_plain_is_refused(table: Path, content: str, message: str) -> None:
    (table / "MLTable").write_text(content)
    with pytest.raises(DataError, match=message):
        sources(table)


def test_the_file_of_an_mltable_is_refused(table: Path) -> None:
    with pytest.raises(DataError, match="relative to its folder; name its folder"):
        sources(table / "MLTable")
