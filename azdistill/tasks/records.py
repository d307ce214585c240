"""Read the rows of a user's file in any format in which data sets are published.

The content of the file decides, not its name: JSONL, a JSON array, CSV or TSV, each also compressed by gzip or zstd;
Parquet; Arrow. Rows are read one after the other, so memory does not grow with the file. An error of the file raises
DataError. A row that cannot be read is a BadRow in its place, so that it is rejected.
"""

import csv
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from azdistill.contracts.errors import DataError
from azdistill.tasks.fields import json_type
from azdistill.tasks.task import BadRow

Record = Mapping[str, Any] | BadRow
Format = Literal["JSONL", "JSON array", "CSV", "Parquet", "Arrow"]

# A longer row is rejected and not kept in memory. The longest rows of published chat data sets have about 1 MB.
MAX_ROW_BYTES = 8_000_000

BOM = b"\xef\xbb\xbf"
DELIMITERS = ",;\t|"
LONGEST_NAME = 60  # characters of a column of a CSV file

# First bytes of the formats that are read, and of others, with what to do about them.
_BINARY: dict[bytes, Format] = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"\xff\xff\xff\xff": "Arrow"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_REFUSED = {
    b"PK\x03\x04": ("a zip archive or an Excel file", "unpack it, or export it as CSV"),
    b"\xfd7zXZ": ("compressed by xz", "compress it by gzip or zstd"),
    b"BZh": ("compressed by bzip2", "compress it by gzip or zstd"),
    b"\xff\xfe": ("UTF-16", "save it as UTF-8"),
    b"\xfe\xff": ("UTF-16", "save it as UTF-8"),
}


@dataclass(frozen=True)
class DataFormat:
    """Format of a file, and its compression: gzip, zstd or none. `delimiter` is that of a CSV file."""

    format: Format
    compression: str | None = None
    delimiter: str = ","

    def __str__(self) -> str:
        name = "TSV" if self.format == "CSV" and self.delimiter == "\t" else self.format
        return f"{name}, {self.compression}" if self.compression else name


def read_records(path: Path) -> Iterator[tuple[int, Record]]:
    """Number and content of each row: of its first line in a text file, else of the row. The first is 1.

    Raises DataError for a file that is missing, empty, damaged or of another format.
    """
    detected = detect_format(path)
    is_empty = True
    try:
        for number, record in _READERS[detected.format](path, detected):
            is_empty = False
            yield number, record
    except (OSError, EOFError, zlib.error) as error:  # of a damaged compressed file
        raise DataError(f"cannot be read: {error}", file=path, fix="write the file again") from None
    if is_empty:
        raise _no_rows(path)


def detect_format(path: Path) -> DataFormat:
    """Format of a file by its first bytes. Raises DataError for one that is missing, empty or not supported."""
    if os.path.isdir(path):
        raise DataError("is a folder", file=path, fix="name a file")
    if not os.path.isfile(path):
        raise DataError("no such file", file=path, fix="check the path")
    compression = next((name for magic, name in _COMPRESSED.items() if _starts_with(path, magic)), None)
    for magic, format in _BINARY.items():
        if _starts_with(path, magic):
            return DataFormat(format)
    for magic, (kind, fix) in _REFUSED.items():
        if _starts_with(path, magic):
            raise DataError(f"is {kind}", file=path, fix=fix)
    try:
        with _open(path, compression) as stream:
            start = stream.read(4096).removeprefix(BOM).lstrip()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read: {error}", file=path, fix="write the file again") from None
    if not start:
        raise _no_rows(path)
    if start.startswith(b"["):
        # A row that is no object also begins with a bracket. An array of a file spans lines or has several objects.
        return DataFormat("JSON array" if _is_array_of_objects(start) else "JSONL", compression)
    delimiter = _csv_delimiter(start.splitlines())
    return DataFormat("CSV", compression, delimiter) if delimiter else DataFormat("JSONL", compression)


def read_object(line: bytes) -> Record:
    """A line of a JSONL file as a JSON object."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return BadRow("not_utf8", f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8")
    except json.JSONDecodeError as error:
        return BadRow("broken_json", f"{error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or deeply nested lists
        return BadRow("broken_json", str(error).partition(";")[0])
    if not isinstance(value, dict):
        return BadRow("not_an_object", f"the row is {json_type(value)}, not a JSON object")
    return value


def count_lines(path: Path) -> int:
    """Number of lines of a text file."""
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            count, last = count + chunk.count(b"\n"), chunk
    return count + (not last.endswith(b"\n"))


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _is_array_of_objects(start: bytes) -> bool:
    return start[1:].lstrip()[:1] in (b"{", b"") or start.rstrip() == b"[]"


def _csv_delimiter(lines: list[bytes]) -> str | None:
    """The delimiter of a CSV file whose first lines these are; None for JSONL, also with a broken first row."""
    header = lines[0].decode(errors="replace")
    delimiter = max(DELIMITERS, key=header.count)
    has_objects = "{" in header or (len(lines) > 1 and lines[1].lstrip().startswith(b"{"))
    is_header = all(0 < len(name.strip()) <= LONGEST_NAME for name in header.split(delimiter))
    return delimiter if delimiter in header and is_header and not has_objects else None


def _open(path: Path, compression: str | None) -> io.BufferedReader:
    if compression == "gzip":
        return io.BufferedReader(gzip.GzipFile(path))
    if compression == "zstd":
        arrow = _arrow(path)
        return io.BufferedReader(arrow.CompressedInputStream(arrow.OSFile(str(path)), "zstd"))
    return path.open("rb")


def _json_lines(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    with _open(path, detected.compression) as stream:
        number = 0
        while line := stream.readline(MAX_ROW_BYTES + 1):
            number += 1
            if len(line) > MAX_ROW_BYTES:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_ROW_BYTES)
                yield number, BadRow("row_too_long", f"the row has more than {MAX_ROW_BYTES:,} bytes")
            elif not line.isspace():
                yield number, read_object(line.rstrip(b"\r\n"))


def _json_array(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    try:
        import ijson
    except ModuleNotFoundError:
        raise _missing("ijson", "a JSON array", path) from None
    with _open(path, detected.compression) as stream:
        if stream.read(len(BOM)) != BOM:
            stream.seek(0)
        try:
            for number, value in enumerate(ijson.items(stream, "item", use_float=True), 1):
                is_object = isinstance(value, dict)
                bad = BadRow("not_an_object", f"the row is {json_type(value)}, not a JSON object")
                yield number, value if is_object else bad
        except ijson.JSONError as error:
            reason = " ".join(str(error).split())[:100]
            raise DataError(f"is no complete JSON array ({reason})", file=path, fix="write the file again") from None


def _csv(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    with _open(path, detected.compression) as binary:
        # A byte that is not UTF-8 becomes half a character, for which the row is rejected.
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=detected.delimiter)
        names = [name.strip() for name in next(reader)]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"has two columns {repeated!r}", file=path, line=1, fix="rename one of them")
        while True:
            number = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, BadRow("broken_csv", str(error))
                continue
            if len(values) == len(names):
                # An empty cell is no value.
                yield number, {name: value for name, value in zip(names, values, strict=True) if value}
            elif values:
                yield number, BadRow("ragged_row", f"the row has {len(values)} fields, the header {len(names)}")


def _parquet(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    arrow = _arrow(path)
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from _of_batches(file.iter_batches(batch_size=1024))
    except arrow.ArrowException as error:
        raise _damaged(path, error) from None


def _arrow_file(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    arrow = _arrow(path)
    import pyarrow.ipc

    try:
        with arrow.memory_map(str(path)) as source:
            if _starts_with(path, b"ARROW1"):
                file = pyarrow.ipc.open_file(source)
                yield from _of_batches(map(file.get_batch, range(file.num_record_batches)))
            else:
                yield from _of_batches(pyarrow.ipc.open_stream(source))
    except arrow.ArrowException as error:
        raise _damaged(path, error) from None


def _of_batches(batches: Any) -> Iterator[tuple[int, Record]]:
    """The rows of record batches. A cell without a value is left out."""
    number = 0
    for batch in batches:
        for start in range(0, len(batch), 1024):
            for row in batch.slice(start, 1024).to_pylist():
                number += 1
                yield number, {name: value for name, value in row.items() if value is not None}


def _arrow(path: Path) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise _missing("pyarrow", "this format", path) from None
    return pyarrow


def _missing(package: str, what: str, path: Path) -> DataError:
    return DataError(
        f"{what} needs {package}, which is not installed",
        file=path,
        code="not_installed",
        fix="install it",
        command="pip install 'azdistill[data]'",
    )


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200]
    return DataError(f"cannot be read: {reason}", file=path, fix="write the file again")


def _no_rows(path: Path) -> DataError:
    return DataError("the file has no rows", file=path, fix="write one JSON object a line")


_READERS = {
    "JSONL": _json_lines,
    "JSON array": _json_array,
    "CSV": _csv,
    "Parquet": _parquet,
    "Arrow": _arrow_file,
}
