"""Format of a data file, by its content."""

import gzip
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from azdistill.contracts.errors import DataError

Format = Literal["JSONL", "JSON array", "CSV", "Parquet", "Arrow"]

BOM = b"\xef\xbb\xbf"
DELIMITERS = ",;\t|"
LINES_OF_START = 6  # with which the delimiter is chosen
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
    b"GGUF": ("a GGUF model", "name a file of rows"),
}

# Formats by the suffixes of names.
SUFFIXES = {
    "jsonl": ("JSONL",),
    "ndjson": ("JSONL",),
    "json": ("JSON array", "JSONL"),
    "csv": ("CSV", "TSV"),
    "tsv": ("TSV", "CSV"),
    "parquet": ("Parquet",),
    "arrow": ("Arrow",),
}
# Delimiters of files whose first line has none: it is the name of a single column, or a title.
OTHER_DELIMITERS = {"csv": DELIMITERS, "tsv": "\t"}
COMPRESSION_SUFFIXES = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}

# A text that is this many times as long as its compressed file, and longer than LEAST_BOMB bytes, is no data set:
# gzip compresses published ones to a fifth to a fiftieth.
MAX_RATIO, LEAST_BOMB = 100, 20_000_000

# Errors that reading a damaged compressed file raises.
DAMAGED = (OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class DataFormat:
    """Format of a file, and its compression: gzip, zstd or none. `delimiter` is that of a CSV file."""

    format: Format
    compression: str | None = None
    delimiter: str = ","

    @property
    def name(self) -> str:
        return "TSV" if self.format == "CSV" and self.delimiter == "\t" else self.format

    def __str__(self) -> str:
        return f"{self.name}, {self.compression}" if self.compression else self.name


def detect_format(path: Path) -> DataFormat:
    """Format of a file by its first bytes, JSONL for one without any. Raises DataError for one that is missing or not
    supported."""
    if not os.path.isfile(path):
        raise DataError("no such file", file=path, fix="check the path")
    compression = next((name for magic, name in _COMPRESSED.items() if starts_with(path, magic)), None)
    for magic, format in _BINARY.items():
        if starts_with(path, magic):
            return DataFormat(format)
    for magic, (kind, fix) in _REFUSED.items():
        if starts_with(path, magic):
            raise DataError(f"is {kind}", file=path, fix=fix)
    try:
        with open_text(path, compression) as stream:
            start = stream.read(4096).removeprefix(BOM).lstrip()
    except DAMAGED as error:
        raise damaged(path, error) from None
    if start.startswith(b"["):
        # A row that is no object also begins with a bracket. An array of a file spans lines or has several objects.
        return DataFormat("JSON array" if _is_array_of_objects(start) else "JSONL", compression)
    suffix, _ = _suffixes(path.name)
    others = OTHER_DELIMITERS.get(suffix, "") if start and not start.startswith(b"{") else ""
    delimiter = _csv_delimiter(start.splitlines(), others)
    return DataFormat("CSV", compression, delimiter) if delimiter else DataFormat("JSONL", compression)


def mismatch(name: str, detected: DataFormat) -> str:
    """The format that a file's name states, where its content has another format or compression; else empty."""
    suffix, compression = _suffixes(name)
    expected = SUFFIXES.get(suffix, (detected.name,))
    if detected.name in expected and compression == detected.compression:
        return ""
    return f"{expected[0]}, {compression}" if compression else expected[0]


def _suffixes(name: str) -> tuple[str, str | None]:
    """The suffix of a file's name that states a format, such as csv, and the compression that it states."""
    *suffixes, last = ["", *name.lower().split(".")[1:]]
    compression = COMPRESSION_SUFFIXES.get(last)
    return (suffixes[-1] if compression and suffixes else last), compression


def starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(magic)) == magic


def open_text(path: Path, compression: str | None) -> io.BufferedReader:
    """The decompressed bytes of a file. Reading raises DataError for far more of them than a data set has."""
    if compression is None:
        return path.open("rb")
    if compression == "gzip":
        return io.BufferedReader(_Decompressed(gzip.GzipFile(path), path), 1 << 16)
    arrow = load_arrow(path)
    return io.BufferedReader(_Decompressed(arrow.CompressedInputStream(arrow.OSFile(str(path)), "zstd"), path), 1 << 16)


class _Decompressed(io.RawIOBase):
    """A decompressing stream that ends with DataError when its text is far longer than the file."""

    def __init__(self, stream: Any, path: Path) -> None:
        self._stream, self._path = stream, path
        self._left = max(LEAST_BOMB, MAX_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            message = f"its text is more than {MAX_RATIO} times as long as the compressed file"
            raise DataError(message, file=self._path, fix="decompress it, if it is a file of rows")
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._stream.close()
        super().close()


def load_arrow(path: Path) -> Any:
    """Module pyarrow, which reads the file `path`."""
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise not_installed("pyarrow", "this format", path) from None
    return pyarrow


def not_installed(package: str, what: str, path: Path) -> DataError:
    return DataError(
        f"{what} needs {package}, which is not installed",
        file=path,
        code="not_installed",
        fix="install it",
        command="pip install 'azdistill[data]'",
    )


def damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200]
    return DataError(f"cannot be read: {reason}", file=path, fix="write the file again")


def no_rows(path: Path) -> DataError:
    return DataError("the file has no rows", file=path, fix="add rows")


def _is_array_of_objects(start: bytes) -> bool:
    return start[1:].lstrip()[:1] in (b"{", b"") or start.rstrip() == b"[]"


def _csv_delimiter(lines: list[bytes], others: str) -> str | None:
    """The delimiter of a CSV file whose first lines these are; None for JSONL, also with a broken first row.

    A file that is named CSV has `others`, the delimiters that its rows may have if its first line has none. Such a file
    may also have columns without a name.
    """
    header = lines[0].decode(errors="replace") if lines else ""
    delimiter = max(DELIMITERS, key=header.count)
    rows = [line.decode(errors="replace") for line in lines[1:LINES_OF_START] if line.strip()]
    if rows and rows[0].lstrip().startswith("{"):
        return None
    if others:
        in_rows = (other for other in others if all(other in row for row in rows))
        return delimiter if delimiter in header else next(in_rows, others[0])
    is_header = all(0 < len(name.strip()) <= LONGEST_NAME for name in header.split(delimiter))
    return delimiter if delimiter in header and is_header and "{" not in header else None
