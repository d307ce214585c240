"""Splitting a table into mini-batches."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from azdistill.engine.local.parallel.scripts import split_table


def split(root: Path, *files: Path, **how: Any) -> list[tuple[str, pd.DataFrame]]:
    """Name and rows of each mini-batch."""
    settings = {
        "files": [str(file) for file in files], "format": "csv", "separator": ",", "encoding": "utf-8", "header": True,
        "keep": [], "drop": [], "keys": [], "rows": None, "bytes": None, "into": str(root), **how,
    }  # fmt: skip
    split_table.main(settings)
    entries = json.loads((root / "list.json").read_text())
    frames = [(entry["name"], pd.read_pickle(entry["path"])) for entry in entries]
    assert [entry["items"] for entry in entries] == [len(frame) for _, frame in frames]
    assert all(list(frame.index) == list(range(len(frame))) for _, frame in frames)
    return frames


def written(root: Path, name: str, text: str) -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def test_rows_are_counted_in_each_file(tmp_path: Path) -> None:
    first = written(tmp_path, "a.csv", "n\n" + "".join(f"{n}\n" for n in range(5)))
    second = written(tmp_path, "b.csv", "n\n9\n")
    batches = split(tmp_path, first, second, rows=2)
    assert [(name, list(frame["n"])) for name, frame in batches] == [
        ("a.csv from row 0", [0, 1]), ("a.csv from row 2", [2, 3]), ("a.csv from row 4", [4]),
        ("b.csv from row 0", [9]),
    ]  # fmt: skip


def test_rows_are_numbered_across_the_reads_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_table, "_ROWS_PER_READ", 4)
    file = written(tmp_path, "a.csv", "n\n" + "".join(f"{n}\n" for n in range(9)))
    batches = split(tmp_path, file, rows=2)
    assert [name for name, _ in batches] == [f"a.csv from row {n}" for n in (0, 2, 4, 6, 8)]
    assert [n for _, frame in batches for n in frame["n"]] == list(range(9))


def test_bytes_are_those_of_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "a.jsonl", "".join(json.dumps({"text": "x" * 89}) + "\n" for _ in range(50)))
    assert file.stat().st_size == 50 * 102
    batches = split(tmp_path, file, format="jsonl", bytes=1020)
    assert [len(frame) for _, frame in batches] == [10] * 5
    assert [len(frame) for _, frame in split(tmp_path, file, format="jsonl", bytes=1)] == [1] * 50


def test_a_parquet_file_is_split(tmp_path: Path) -> None:
    pd.DataFrame({"n": range(10), "at": pd.Timestamp("2026-01-01")}).to_parquet(tmp_path / "a.parquet")
    batches = split(tmp_path, tmp_path / "a.parquet", format="parquet", rows=4)
    assert [len(frame) for _, frame in batches] == [4, 4, 2]
    assert str(batches[0][1]["at"].dtype).startswith("datetime64")


def test_columns_without_names_get_the_names_of_azure(tmp_path: Path) -> None:
    file = written(tmp_path, "a.tsv", "1\tx\n2\ty\n")
    ((_, frame),) = split(tmp_path, file, separator="\t", header=False, rows=9)
    assert frame.to_dict("list") == {"Column1": [1, 2], "Column2": ["x", "y"]}


def test_columns_are_kept_and_dropped(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "a,b,c\n1,2,3\n")
    assert list(split(tmp_path, file, keep=["c", "a"], rows=9)[0][1].columns) == ["c", "a"]
    assert list(split(tmp_path, file, drop=["a"], rows=9)[0][1].columns) == ["b", "c"]


def test_keys_group_the_rows_of_all_files(tmp_path: Path) -> None:
    first = written(tmp_path, "a.csv", "store,brand,n\n2,x,1\n1,x,2\n2,x,3\n")
    second = written(tmp_path, "b.csv", "store,brand,n\n2,,4\n1,x,5\n")
    batches = split(tmp_path, first, second, keys=["store", "brand"])
    assert [(name, list(frame["n"])) for name, frame in batches] == [
        ("store=1 brand=x", [2, 5]), ("store=2 brand=x", [1, 3]), ("store=2 brand=nan", [4]),
    ]  # fmt: skip


def test_a_key_that_is_no_column_is_reported(tmp_path: Path) -> None:
    file = written(tmp_path, "a.csv", "store,n\nx,1\n")
    with pytest.raises(SystemExit) as error:
        split(tmp_path, file, keys=["stor"])
    assert error.value.code == "partition_keys=['stor']: no such column; the table has store, n"
    assert not (tmp_path / "list.json").exists()


def test_a_table_without_rows_has_no_mini_batches(tmp_path: Path) -> None:
    assert split(tmp_path, written(tmp_path, "a.csv", "n\n"), rows=2) == []
