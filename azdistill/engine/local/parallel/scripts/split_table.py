"""Split a table into mini-batches, each a pickled DataFrame, and list them in `list.json`, which is written last.

Usage: `split_table.py SETTINGS`. The JSON file SETTINGS has the fields `files`, `format` (csv, jsonl or parquet),
`separator`, `encoding`, `header`, `keep` and `drop` (columns), `into` (a folder), and one of `keys` (columns to group
by), `bytes` and `rows` (the size of a mini-batch).
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

pandas: Any = importlib.import_module("pandas")

_ROWS_PER_READ = 100_000


def main(settings: dict[str, Any]) -> None:
    """Write the mini-batches and their list."""
    into, entries = settings["into"], []
    for number, (name, frame) in enumerate(batches(settings)):
        path = os.path.join(into, f"{number}.pkl")
        frame.reset_index(drop=True).to_pickle(path)
        entries.append({"name": name, "path": path, "items": len(frame)})
    partial = os.path.join(into, ".list.json")
    with open(partial, "w", encoding="utf-8") as stream:
        json.dump(entries, stream)
    os.replace(partial, os.path.join(into, "list.json"))


def batches(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The name and the rows of each mini-batch. Without `keys`, no mini-batch contains rows of two files."""
    if settings["keys"]:
        yield from by_keys(settings)
        return
    for file in settings["files"]:
        size, start = rows_per_batch(settings, file), 0
        for frame in frames(settings, file, size * max(_ROWS_PER_READ // size, 1)):
            for at in range(0, len(frame), size):
                yield f"{os.path.basename(file)} from row {start + at}", frame.iloc[at : at + size]
            start += len(frame)


def by_keys(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """One mini-batch for each combination of values of the columns `keys`, from all files."""
    keys = settings["keys"]
    table = pandas.concat([frame for file in settings["files"] for frame in frames(settings, file, _ROWS_PER_READ)])
    missing = [key for key in keys if key not in table.columns]
    if missing:
        sys.exit(f"partition_keys={missing!r}: no such column; the table has {', '.join(map(str, table.columns))}")
    for values, rows in table.groupby(keys, dropna=False):
        yield " ".join(f"{key}={value}" for key, value in zip(keys, values)), rows  # noqa: B905 (Python 3.9)


def rows_per_batch(settings: dict[str, Any], file: str) -> int:
    """Rows of a mini-batch: `rows`, or as many average rows of the file as make `bytes`."""
    if settings["rows"]:
        return int(settings["rows"])
    return max(int(settings["bytes"]) * count_rows(settings, file) // max(os.path.getsize(file), 1), 1)


def count_rows(settings: dict[str, Any], file: str) -> int:
    """Rows in a file. For text formats, the number of lines."""
    if settings["format"] == "parquet":
        return int(importlib.import_module("pyarrow.parquet").ParquetFile(file).metadata.num_rows)
    with open(file, "rb") as stream:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: stream.read(1 << 20), b""))


def frames(settings: dict[str, Any], file: str, rows: int) -> Iterator[Any]:
    """The selected columns of a file as DataFrames of at most `rows` rows; a parquet file is one DataFrame."""
    for frame in read(settings, file, rows):
        if not settings["header"]:
            frame.columns = [f"Column{number + 1}" for number in range(len(frame.columns))]
        selected = frame[settings["keep"]] if settings["keep"] else frame
        yield selected.drop(columns=settings["drop"])


def read(settings: dict[str, Any], file: str, rows: int) -> Any:
    """DataFrames of a file."""
    if settings["format"] == "parquet":
        return [pandas.read_parquet(file)]
    if settings["format"] == "jsonl":
        return pandas.read_json(file, lines=True, chunksize=rows, convert_dates=False, encoding=settings["encoding"])
    return pandas.read_csv(
        file,
        sep=settings["separator"],
        encoding=settings["encoding"],
        header=0 if settings["header"] else None,
        chunksize=rows,
    )


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as settings_file:
        main(json.load(settings_file))
