"""What an input holds that is to be split: a list of files, or a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.local.hashing import files_under
from azdistill.engine.pipeline.model import ANY
from azdistill.engine.yaml_document import read_document

MLTABLE = "MLTable"
_BY_SUFFIX = {".csv": ("csv", ","), ".tsv": ("csv", "\t"), ".jsonl": ("jsonl", ","), ".parquet": ("parquet", ",")}
_READERS = {"read_delimited": "csv", "read_json_lines": "jsonl", "read_parquet": "parquet"}
_ENCODINGS = {"iso88591": "iso-8859-1", "windows1252": "windows-1252"}
_SAME_HEADERS = ("all_files_same_headers", "all_files_different_headers")


@dataclass(frozen=True)
class Files:
    """Files by name, in the order of names."""

    named: Mapping[str, Path]


@dataclass(frozen=True)
class Table:
    """A table in one or more files. `keep` is the columns to have, all when empty. A `plain_number` for the size of a
    mini-batch counts rows in a file, and bytes in an mltable, as on Azure ML."""

    files: tuple[Path, ...]
    format: str
    separator: str = ","
    encoding: str = "utf-8"
    header: bool = True
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    plain_number: str = "bytes"


def look_into(path: Path, kind: str) -> Files | Table:
    """What lies at an input of type `kind`. Raises InputError for an mltable that can't be read here."""
    if path.is_file():
        form = _BY_SUFFIX.get(path.suffix.lower())
        return Table((path,), *form, plain_number="rows") if form else Files({path.name: path})
    if kind == "mltable" or (kind == ANY and (path / MLTABLE).is_file()):
        return _Definition(path).read()
    return Files(dict(sorted(files_under(path))))


class _Definition:
    """The file `MLTable` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / MLTABLE
        self.raw = read_document(self.file, InputError, "MLTable file").value

    def read(self) -> Files | Table:
        found = {path for entry in self._list("paths") for path in self._at(entry)}
        files = {path.relative_to(self.folder).as_posix(): path for path in sorted(found)}
        steps = [_step(one) for one in self._list("transformations")]
        if not steps:
            return Files(files)
        (reader, options), *rest = steps
        if reader not in _READERS:
            raise self._error(f"transformations begin with {reader!r}; expected one of {', '.join(_READERS)}")
        return self._table(tuple(files.values()), reader, options, rest)

    def _table(
        self, files: tuple[Path, ...], reader: str, options: Mapping[str, Any], rest: list[tuple[str, Any]]
    ) -> Table:
        columns: dict[str, tuple[str, ...]] = {"keep_columns": (), "drop_columns": ()}
        for name, value in rest:
            if name not in columns:
                raise self._error(f"transformation {name!r} is not done here; do it in the entry script")
            columns[name] = tuple(value) if isinstance(value, list) else (str(value),)
        encoding = str(options.get("encoding", "utf8"))
        return Table(
            files,
            _READERS[reader],
            str(options.get("delimiter", ",")),
            _ENCODINGS.get(encoding, encoding),
            self._header(options.get("header", _SAME_HEADERS[0])),
            columns["keep_columns"],
            columns["drop_columns"],
        )

    def _header(self, given: Any) -> bool:
        if given not in (*_SAME_HEADERS, "no_header"):
            raise self._error(f"header={given!r}: expected no_header or one of {', '.join(_SAME_HEADERS)}")
        return str(given) != "no_header"

    def _list(self, name: str) -> list[Any]:
        value = self.raw.get(name) or []
        if not isinstance(value, list) or (name == "paths" and not value):
            raise self._error(f"{name}={value!r}: expected a list")
        return value

    def _at(self, entry: Any) -> list[Path]:
        """The files of `file: PATH`, `folder: PATH` or `pattern: GLOB`, in the table's own folder: what lies elsewhere
        could change without anyone noticing."""
        kind, text = next(iter(entry.items())) if isinstance(entry, Mapping) and len(entry) == 1 else ("", "")
        relative = str(text).removeprefix("file:").removeprefix("./")
        if kind not in ("file", "folder", "pattern") or relative.startswith("/") or ".." in relative or ":" in relative:
            raise self._error(f"paths: {entry!r}: expected file, folder or pattern, within the folder of {MLTABLE}")
        found = self.folder.glob(relative) if kind == "pattern" else [self.folder / relative]
        if kind == "folder":
            found = [path for _, path in files_under(self.folder / relative) if path != self.file]
        return [path for path in found if path.is_file() or self._absent(path)]

    def _absent(self, path: Path) -> bool:
        if not path.exists():
            raise self._error(f"no such file as {path.relative_to(self.folder).as_posix()!r} in its folder")
        return False

    def _error(self, text: str) -> InputError:
        return InputError(f"{self.file}: {text}")


def _step(entry: Any) -> tuple[str, Any]:
    """A transformation is a name, or a name with its options."""
    if isinstance(entry, Mapping) and len(entry) == 1:
        name, options = next(iter(entry.items()))
        return str(name), {} if options is None else options
    return str(entry), {}
