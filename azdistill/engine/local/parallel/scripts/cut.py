"""Cuts a table into mini-batches, each a pickled DataFrame, and lists them in `list.json`, which is written last.

Started as `cut.py SETTINGS`, a JSON file: `files`, `format` (csv, jsonl or parquet), `separator`, `encoding`, `header`,
`keep` and `drop` (columns), `into` (a folder), and how to cut: by `keys`, or `bytes` or `rows` a mini-batch.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from typing import Any

pandas: Any = importlib.import_module("pandas")

_ROWS_AT_ONCE = 100_000


def main(settings: dict[str, Any]) -> None:
    into, listed = settings["into"], []
    for number, (name, frame) in enumerate(batches(settings)):
        path = os.path.join(into, f"{number}.pkl")
        frame.reset_index(drop=True).to_pickle(path)
        listed.append({"name": name, "path": path, "items": len(frame)})
    partial = os.path.join(into, ".list.json")
    with open(partial, "w", encoding="utf-8") as stream:
        json.dump(listed, stream)
    os.replace(partial, os.path.join(into, "list.json"))


def batches(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A name and the rows of each mini-batch. None spans two files, but for those by keys."""
    if settings["keys"]:
        yield from by_keys(settings)
        return
    for file in settings["files"]:
        size, begin = rows_each(settings, file), 0
        for frame in frames(settings, file, size * max(_ROWS_AT_ONCE // size, 1)):
            for at in range(0, len(frame), size):
                part = frame.iloc[at : at + size]
                yield f"{os.path.basename(file)} from row {begin + at}", part
            begin += len(frame)


def by_keys(settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    keys = settings["keys"]
    whole = pandas.concat([frame for file in settings["files"] for frame in frames(settings, file, _ROWS_AT_ONCE)])
    absent = [key for key in keys if key not in whole.columns]
    if absent:
        sys.exit(f"partition_keys={absent!r}: no such column; the table has {', '.join(map(str, whole.columns))}")
    for values, rows in whole.groupby(keys, dropna=False):
        yield " ".join(f"{key}={value}" for key, value in zip(keys, values)), rows  # noqa: B905 (Python 3.9)


def rows_each(settings: dict[str, Any], file: str) -> int:
    """Rows of about `bytes` in the file, whose rows are as long as its average row."""
    if settings["rows"]:
        return int(settings["rows"])
    return max(int(settings["bytes"]) * rows_in(settings, file) // max(os.path.getsize(file), 1), 1)


def rows_in(settings: dict[str, Any], file: str) -> int:
    if settings["format"] == "parquet":
        return int(importlib.import_module("pyarrow.parquet").ParquetFile(file).metadata.num_rows)
    with open(file, "rb") as stream:
        return sum(part.count(b"\n") for part in iter(lambda: stream.read(1 << 20), b""))


def frames(settings: dict[str, Any], file: str, rows: int) -> Iterator[Any]:
    """The table of a file, at most `rows` at once where its format allows that."""
    for frame in read(settings, file, rows):
        if not settings["header"]:
            frame.columns = [f"Column{number + 1}" for number in range(len(frame.columns))]
        kept = frame[settings["keep"]] if settings["keep"] else frame
        yield kept.drop(columns=settings["drop"])


def read(settings: dict[str, Any], file: str, rows: int) -> Any:
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
    with open(sys.argv[1], encoding="utf-8") as given:
        main(json.load(given))
