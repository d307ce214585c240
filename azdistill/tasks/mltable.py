"""Read an MLTable file: which files of its folder are rows, and in which format.

Source: https://learn.microsoft.com/azure/machine-learning/reference-yaml-mltable
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_limited
from azdistill.tasks.formats import DataFormat, detect_format

MLTABLE = "MLTable"
MAX_BYTES = 100_000

KINDS = ("file", "folder", "pattern")

# Transformations that state a format. Others change the rows: they are refused.
_FORMATS = {"read_json_lines": ("JSONL",), "read_delimited": ("CSV",), "read_parquet": ("Parquet",)}

# Arguments that change nothing here: a cell is text, and a row that cannot be read is rejected.
_IGNORED = ("infer_column_types", "empty_as_string", "support_multi_line", "invalid_lines")
_ACCEPTED: Mapping[str, Sequence[Any]] = {
    "encoding": ("utf8", "utf-8", "utf8bom", "ascii"),
    "header": ("all_files_same_headers", "all_files_different_headers"),
    "include_path_column": (False,),
}


@dataclass(frozen=True)
class MLTable:
    """Paths of an MLTable as pairs of kind and path, and the format that its transformation states."""

    file: Path
    paths: Sequence[tuple[str, str]]
    transformation: str | None = None
    delimiter: str | None = None

    def selections(self, folder: Path) -> Iterator[Path]:
        """Files and folders that the table names, in its order. Raises DataError for one that is missing."""
        for kind, path in self.paths:
            selected = sorted(folder.glob(path)) if kind == "pattern" else [folder / path]
            if not selected or not all(entry.exists() for entry in selected):
                raise _refused(self.file, f"paths: no such {kind}", path, "correct it")
            yield from selected

    def format_of(self, file: Path) -> DataFormat | None:
        """The stated format; None without one. Raises DataError for a file of another."""
        if self.transformation is None:
            return None
        detected, (format,) = detect_format(file), _FORMATS[self.transformation]
        if self.delimiter:
            return DataFormat("CSV", detected.compression, self.delimiter)
        if detected.format != format:
            message = f"is {detected}, and the MLTable says {self.transformation}"
            raise DataError(message, file=file, fix="correct the transformation")
        return detected


def read_mltable(file: Path) -> MLTable:
    """Read an MLTable file. Raises DataError for one that is invalid, and for a transformation that is not read."""
    try:
        content = yaml.safe_load(read_limited(file, MAX_BYTES))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"is no YAML ({' '.join(str(error).split())[:100]})", file=file, fix="correct it") from None
    paths = content.get("paths") if isinstance(content, dict) else None
    if not isinstance(paths, list) or not paths:
        raise DataError("has no paths", file=file, fix="add paths with file, folder or pattern")
    table = MLTable(file, [_path(file, entry) for entry in paths])
    transformations = content.get("transformations") or []
    if not isinstance(transformations, list) or len(transformations) > 1:
        raise _refused(file, "transformations", transformations, "keep only one that reads: its format")
    return _transformed(table, transformations[0]) if transformations else table


def _path(file: Path, entry: Any) -> tuple[str, str]:
    """Kind and path of an entry of `paths`, inside the folder: it is what a job uploads."""
    if not isinstance(entry, dict) or len(entry) != 1 or next(iter(entry)) not in KINDS:
        raise _refused(file, "paths", entry, f"write one of {', '.join(KINDS)}")
    ((kind, path),) = entry.items()
    if not isinstance(path, str) or ":" in path or posixpath.isabs(path) or ".." in path.split("/"):
        raise _refused(file, f"paths: {kind}", path, "write a path inside the folder of the MLTable")
    return kind, path


def _transformed(table: MLTable, entry: Any) -> MLTable:
    (name, arguments), *others = entry.items() if isinstance(entry, dict) and entry else [(entry, None)]
    if others or name not in _FORMATS:
        raise _refused(table.file, "transformations", name, f"only {', '.join(_FORMATS)} are read: write the rows anew")
    arguments = arguments if isinstance(arguments, dict) else {}
    for argument, value in arguments.items():
        if argument == "delimiter" and isinstance(value, str) and len(value) == 1:
            continue
        if argument not in _IGNORED and value not in _ACCEPTED.get(argument, ()):
            raise _refused(table.file, f"{name}: {argument}", value, "remove it, or write the rows anew")
    return MLTable(table.file, table.paths, name, arguments.get("delimiter"))


def _refused(file: Path, field: str, value: Any, fix: str) -> DataError:
    return DataError(f"{field}={value!r} is not read", file=file, code="not_supported", fix=fix)
