"""Read the input of a parallel node: a list of files, or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.folders import files_under
from azdistill.engine.pipeline.model import ANY
from azdistill.engine.yaml_document import read_document

MLTABLE = "MLTable"
_BY_SUFFIX = {".csv": ("csv", ","), ".tsv": ("csv", "\t"), ".jsonl": ("jsonl", ","), ".parquet": ("parquet", ",")}
_READERS = {"read_delimited": "csv", "read_json_lines": "jsonl", "read_parquet": "parquet"}
_ENCODINGS = {"iso88591": "iso-8859-1", "windows1252": "windows-1252"}
_WITH_HEADER = ("all_files_same_headers", "all_files_different_headers")


@dataclass(frozen=True)
class FileList:
    """Files by name, in the order of names."""

    files: Mapping[str, Path]


@dataclass(frozen=True)
class TableInput:
    """A table in one or more files.

    `keep` are the columns to read, all when empty; `drop` those to leave out. `size_unit` is what a mini_batch_size
    without a unit counts: rows of a file, bytes of an mltable, as on Azure ML.
    """

    files: tuple[Path, ...]
    format: str
    separator: str = ","
    encoding: str = "utf-8"
    header: bool = True
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    size_unit: str = "bytes"


def read_input(path: Path, kind: str) -> FileList | TableInput:
    """The files or the table of an input of type `kind`. Raises InputError for an mltable that is not supported."""
    if path.is_file():
        form = _BY_SUFFIX.get(path.suffix.lower())
        return TableInput((path,), *form, size_unit="rows") if form else FileList({path.name: path})
    if kind == "mltable" or (kind == ANY and (path / MLTABLE).is_file()):
        return _MLTableFile(path).read()
    return FileList(dict(sorted(files_under(path))))


class _MLTableFile:
    """The file `MLTable` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / MLTABLE
        self.document = read_document(self.file, InputError, "MLTable file")

    def read(self) -> FileList | TableInput:
        paths = {path for entry in self._list("paths") for path in self._expand(entry)}
        files = {path.relative_to(self.folder).as_posix(): path for path in sorted(paths)}
        steps = [_transformation(entry) for entry in self._list("transformations")]
        if not steps:
            return FileList(files)
        (reader, options), *rest = steps
        if reader not in _READERS:
            raise self._error(f"must begin with one of {', '.join(_READERS)}", "transformations", reader)
        return self._table(tuple(files.values()), reader, options, rest)

    def _table(
        self, files: tuple[Path, ...], reader: str, options: Mapping[str, Any], rest: list[tuple[str, Any]]
    ) -> TableInput:
        columns: dict[str, tuple[str, ...]] = {"keep_columns": (), "drop_columns": ()}
        for name, value in rest:
            if name not in columns:
                raise self._error(
                    "is not supported in a local run", "transformations", name, "do it in the entry script"
                )
            columns[name] = tuple(value) if isinstance(value, list) else (str(value),)
        encoding = str(options.get("encoding", "utf8"))
        header = options.get("header", _WITH_HEADER[0])
        if header not in (*_WITH_HEADER, "no_header"):
            raise self._error(f"must be no_header or one of {', '.join(_WITH_HEADER)}", "header", header)
        return TableInput(
            files,
            _READERS[reader],
            str(options.get("delimiter", ",")),
            _ENCODINGS.get(encoding, encoding),
            str(header) != "no_header",
            columns["keep_columns"],
            columns["drop_columns"],
        )

    def _list(self, name: str) -> list[Any]:
        value = self.document.value.get(name) or []
        if not isinstance(value, list) or (name == "paths" and not value):
            raise self._error("must be a list that is not empty", name, value)
        return value

    def _expand(self, entry: Any) -> list[Path]:
        """The files of `file: PATH`, `folder: PATH` or `pattern: GLOB`.

        Only those in the folder of the MLTable file are accepted, because only its content counts for reuse.
        """
        kind, text = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else ("", "")
        relative = str(text).removeprefix("file:").removeprefix("./")
        if kind not in ("file", "folder", "pattern") or relative.startswith("/") or ".." in relative or ":" in relative:
            message = f"must be a file, folder or pattern in the folder of {MLTABLE}"
            raise self._error(message, "paths", text or str(entry))
        paths = list(self.folder.glob(relative) if kind == "pattern" else [self.folder / relative])
        if kind == "folder":
            paths = [path for _, path in files_under(self.folder / relative) if path != self.file]
        for path in paths:
            if not path.exists():
                name = path.relative_to(self.folder).as_posix()
                raise self._error("no such file in the folder of the MLTable file", "paths", name)
        return [path for path in paths if path.is_file()]

    def _error(self, message: str, field: str, value: Any, fix: str = "") -> InputError:
        line = self.document.line((field,))
        return InputError(message, file=self.file, line=line, field=(field,), value=value, fix=fix)


def _transformation(entry: Any) -> tuple[str, Any]:
    """A transformation is a name, or a name with its options."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        return str(name), {} if options is None else options
    return str(entry), {}
