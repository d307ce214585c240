"""Read the rows of a user's file in any format in which data sets are published.

The content of the file decides, not its name: JSONL, a JSON array, CSV or TSV, each also compressed by gzip or zstd;
Parquet; Arrow. Rows are read one after the other, so memory does not grow with the file. An error of the file raises
DataError. A row that cannot be read is a BadRow in its place, so that it is rejected.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from azdistill.contracts.errors import DataError
from azdistill.tasks.fields import json_type
from azdistill.tasks.formats import (
    BOM,
    DAMAGED,
    DataFormat,
    damaged,
    load_arrow,
    mismatch,
    no_rows,
    not_installed,
    open_text,
    starts_with,
)
from azdistill.tasks.shards import Shard, shards_of
from azdistill.tasks.task import BadRow

Record = Mapping[str, Any] | BadRow
# A row, or the line of a JSONL file that has it.
Unparsed = bytes | Record

# A longer row is rejected and not kept in memory. The longest rows of published chat data sets have about 1 MB.
MAX_ROW_BYTES = 8_000_000

# More blank lines in a row are no data set: a small compressed file may have a billion of them.
MAX_BLANK_LINES = 100_000

# A cell of so many lines, each with the delimiters of a row, is no text.
MANY_LINES = 20

# Bytes of a JSON array, and rows of a table, that are read together.
CHUNK_BYTES, CHUNK_ROWS = 1 << 16, 1024

# Digits of the shortest integer that has more than 64 bits.
_LONG_INTEGER = b"0" * 19
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")


# A cell may be as long as a row. The limit of module csv is 131,072 characters.
csv.field_size_limit(MAX_ROW_BYTES)


def read_records(path: Path) -> Iterator[tuple[str, Record]]:
    """Source and content of each row of a file, or of the files of a folder.

    A source is `name:number`: the number of the row's first line in a text file, else that of the row. The first is 1.
    In a folder the name is the path inside it. Raises DataError for a file that is missing, empty, damaged or of
    another format.
    """
    return ((source, parse(row)) for source, row in read_unparsed(path))


def read_unparsed(path: Path) -> Iterator[tuple[str, Unparsed]]:
    """The rows of `read_records`, those of JSONL files as lines: another process can parse them."""
    is_empty = True
    for shard in shards_of(path):
        for number, record in _read_file(shard.path, shard.detected()):
            is_empty = False
            yield f"{shard.name}:{number}", record
    if is_empty:
        raise no_rows(path)


def parse(row: Unparsed) -> Record:
    """The content of a row of `read_unparsed`."""
    return _read_object(row) if isinstance(row, bytes) else row


def describe_files(path: Path) -> str:
    """Formats of a file, or of the files of a folder with their number. Raises DataError as `read_records` does."""
    shards = shards_of(path)
    formats = "; ".join(sorted({_description(shard) for shard in shards}))
    files = "1 file" if len(shards) == 1 else f"{len(shards)} files"
    return f"{formats}; {files}" if path.is_dir() else formats


def _description(shard: Shard) -> str:
    """Format of a file, such as `CSV (its name says JSONL)`."""
    detected = shard.detected()
    expected = mismatch(shard.path.name, detected)
    return f"{detected} (its name says {expected})" if expected else str(detected)


def count_rows(path: Path) -> int:
    """Number of rows of a file or folder, of a JSONL file the number of its lines."""
    return sum(_count_rows(shard.path, shard.detected()) for shard in shards_of(path))


def _count_rows(path: Path, detected: DataFormat) -> int:
    if detected.format == "JSONL" and not detected.compression:
        return _count_lines(path)
    return sum(1 for _ in _read_file(path, detected))


def _read_file(path: Path, detected: DataFormat) -> Iterator[tuple[int, Unparsed]]:
    try:
        yield from _READERS[detected.format](path, detected)
    except DAMAGED as error:  # of a compressed file
        raise damaged(path, error) from None


def _read_object(line: bytes) -> Record:
    """A line of a JSONL file as a JSON object."""
    try:
        value = _parse_json(line)
    except UnicodeDecodeError as error:
        return BadRow("not_utf8", f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8")
    except json.JSONDecodeError as error:
        if line.strip() in (b"{", b"[", b"}", b"]"):
            return BadRow("broken_json", f"the line is only {line.strip().decode()!r}; write each row as one line")
        return BadRow("broken_json", f"{error.msg} at column {error.colno}")
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or deeply nested lists
        return BadRow("broken_json", str(error).partition(";")[0])
    return as_record(value)


def as_record(value: Any) -> Record:
    """A value as a row, which has to be a JSON object."""
    if isinstance(value, Mapping):
        return value
    return BadRow("not_an_object", f"the row is {json_type(value)}, not a JSON object")


def _parse_json(line: bytes) -> Any:
    """The value of a JSON text, as Python's parser reads it. Raises ValueError or RecursionError.

    orjson is three times as fast. It rounds integers of more than 64 bits, and what it refuses may be a row or have
    a more exact error.
    """
    if _LONG_INTEGER not in line.translate(_DIGITS_AS_ZEROS):
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            pass
    return json.loads(line.decode("utf-8-sig"))


def _count_lines(path: Path) -> int:
    """Number of lines of a text file."""
    count, last = 0, b"\n"
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            count, last = count + chunk.count(b"\n"), chunk
    return count + (not last.endswith(b"\n"))


def _json_lines(path: Path, detected: DataFormat) -> Iterator[tuple[int, Unparsed]]:
    with open_text(path, detected.compression) as stream:
        number = last = 0
        while line := stream.readline(MAX_ROW_BYTES + 1):
            number += 1
            if not line.isspace():
                last = number
            elif number - last > MAX_BLANK_LINES:
                raise _too_many_blank_lines(path, number)
            if len(line) > MAX_ROW_BYTES:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(MAX_ROW_BYTES)
                yield number, _row_too_long()
            elif not line.isspace():
                yield number, line.rstrip(b"\r\n")


def _row_too_long() -> BadRow:
    return BadRow("row_too_long", f"the row has more than {MAX_ROW_BYTES:,} bytes")


def _too_many_blank_lines(path: Path, line: int) -> DataError:
    message = f"has more than {MAX_BLANK_LINES:,} blank lines in a row"
    return DataError(message, file=path, line=line, fix="write the file again without them")


class _CountedReads:
    """A stream that counts the bytes which were read."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self.count += len(content)
        return content


def _json_array(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    try:
        import ijson
    except ModuleNotFoundError:
        raise not_installed("ijson", "a JSON array", path) from None
    with open_text(path, detected.compression) as stream:
        if stream.peek(len(BOM)).startswith(BOM):
            stream.read(len(BOM))
        counted, before = _CountedReads(stream), 0
        try:
            items = ijson.items(counted, "item", use_float=True, buf_size=CHUNK_BYTES)
            for number, value in enumerate(items, 1):
                # A row begins in the last chunk that was read for the row before.
                if counted.count - before > MAX_ROW_BYTES + CHUNK_BYTES:
                    yield number, _row_too_long()
                else:
                    yield number, as_record(value)
                before = counted.count
        except (ijson.JSONError, UnicodeDecodeError) as error:  # the latter for half a character
            reason = " ".join(str(error).split())[:100]
            raise DataError(f"is no complete JSON array ({reason})", file=path, fix="write the file again") from None


def _csv(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    with open_text(path, detected.compression) as binary:
        # A byte that is not UTF-8 becomes half a character, for which the row is rejected.
        text = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(text, delimiter=detected.delimiter, strict=True)
        names = _header(path, reader)
        header = last = reader.line_num
        title = names[0] if any(names[:1]) and not any(names[1:]) else ""
        # Those before the first name are an index, as pandas writes it.
        unnamed = [index for index, name in enumerate(names) if not name and any(names[:index])]
        while True:
            number = reader.line_num + 1
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield from _all_lines(number, reader.line_num, BadRow("broken_csv", _broken(error, number, reader)))
                last = reader.line_num
                continue
            if title and any(values):
                if any(values[1:]):
                    raise _ragged_header(path, header, title, number)
                title = ""
            if values:
                last = reader.line_num
            elif number - last > MAX_BLANK_LINES:
                raise _too_many_blank_lines(path, number)
            lines = reader.line_num - number + 1
            if lines > 1 and (rows := _rows_in(values, len(names), detected.delimiter, lines)):
                message = f"a cell of the row, which begins in line {number}, has {rows} lines that look like rows"
                bad = BadRow("broken_csv", f"{message}; is a quote missing or too many?")
                yield from _all_lines(number, reader.line_num, bad)
            elif values:
                yield number, _csv_record(values, names, unnamed, header)


def _csv_record(values: Sequence[str], names: Sequence[str], unnamed: Sequence[int], header: int) -> Record:
    """The cells of a row by the names of their columns. An empty cell is no value."""
    if len(values) != len(names):
        message = f"the row has {_fields(len(values))}, the header in line {header} {len(names)}"
        return BadRow("ragged_row", message)
    if column := next((index + 1 for index in unnamed if values[index].strip()), None):
        return BadRow("ragged_row", f"has a value in column {column}, which the header does not name")
    return {name: value for name, value in zip(names, values, strict=True) if value and name}


def _header(path: Path, reader: Any) -> list[str]:
    """The names of the columns of a CSV file, after blank lines. A column without a name has an empty one."""
    try:
        names = [name.strip() for name in next(filter(None, reader), ())]
    except csv.Error as error:
        fix = "write a quote inside a text twice"
        raise DataError(_broken(error, 1, reader), file=path, line=1, code="broken_csv", fix=fix) from None
    if repeated := next((name for name in names if name and names.count(name) > 1), None):
        raise DataError(f"has two columns {repeated!r}", file=path, line=reader.line_num, fix="rename one of them")
    return names


def _broken(error: csv.Error, first: int, reader: Any) -> str:
    """The error of a row of a CSV file whose first line is `first`, which the reader has just read."""
    last = reader.line_num
    lines = f"lines {first} to {last} are" if last > first else f"line {first} is"
    if "unexpected end" in str(error):
        return f"a quote that is opened in the row of line {first} is never closed, so {lines} rejected"
    if "expected after" in str(error):
        return f"text after a closing quote in line {last}, so {lines} rejected; write a quote in a text twice"
    return f"{error}, so {lines} rejected"


def _all_lines(first: int, last: int, bad: BadRow) -> Iterator[tuple[int, BadRow]]:
    """The bad row for each line from `first` to `last`: a wrong quote makes one row of them."""
    return ((line, bad) for line in range(first, last + 1))


def _rows_in(values: Sequence[str], columns: int, delimiter: str, lines: int) -> int:
    """The number of lines in a cell that a wrong quote has made of rows; 0 if there is none.

    Each line of such a cell has the delimiters of a row. So has a short text by chance, in a row that is as long as the
    header.
    """
    if columns == 1 or (len(values) == columns and lines < MANY_LINES):
        return 0
    for value in values:
        rows = value.splitlines()
        if len(rows) > 1 and all(row.count(delimiter) == columns - 1 for row in rows[:-1]):
            return len(rows)
    return 0


def _ragged_header(path: Path, header: int, title: str, row: int) -> DataError:
    message = f"the header {title!r:.80} names 1 column, line {row} has more"
    fix = "if it is a title, delete the lines above the header; if it is the header, quote the texts"
    return DataError(message, file=path, line=header, code="ragged_header", fix=fix)


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _parquet(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    arrow = load_arrow(path)
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from _of_batches(file.iter_batches(batch_size=CHUNK_ROWS))
    except arrow.ArrowException as error:
        raise damaged(path, error) from None


def _arrow_file(path: Path, detected: DataFormat) -> Iterator[tuple[int, Record]]:
    arrow = load_arrow(path)
    import pyarrow.ipc

    try:
        with arrow.memory_map(str(path)) as source:
            if starts_with(path, b"ARROW1"):
                file = pyarrow.ipc.open_file(source)
                yield from _of_batches(map(file.get_batch, range(file.num_record_batches)))
            else:
                yield from _of_batches(pyarrow.ipc.open_stream(source))
    except arrow.ArrowException as error:
        raise damaged(path, error) from None


def _of_batches(batches: Any) -> Iterator[tuple[int, Record]]:
    """The rows of record batches. A cell without a value is left out."""
    number = 0
    for batch in batches:
        for start in range(0, len(batch), CHUNK_ROWS):
            chunk = batch.slice(start, CHUNK_ROWS)
            may_be_long = chunk.nbytes > MAX_ROW_BYTES
            for row in chunk.to_pylist():
                number += 1
                record = {name: value for name, value in row.items() if value is not None}
                is_long = may_be_long and len(repr(record).encode(errors="replace")) > MAX_ROW_BYTES
                yield number, _row_too_long() if is_long else record


_READERS = {
    "JSONL": _json_lines,
    "JSON array": _json_array,
    "CSV": _csv,
    "Parquet": _parquet,
    "Arrow": _arrow_file,
}
