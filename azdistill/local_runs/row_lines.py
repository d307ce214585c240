"""Find single rows in the files of a run without parsing the others: a file may have a million rows."""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import orjson
from pydantic import BaseModel

Record = TypeVar("Record", bound=BaseModel)


def rows_with(path: Path, field: str, value: str, record: type[Record], *, is_prefix: bool = False) -> Iterator[Record]:
    """Rows whose text `field` is `value`, or begins with it. None for a file that does not exist.

    The field and its value are searched as the bytes that a step writes. Quotes within texts are escaped, so a text
    cannot contain them.
    """
    needle = b'"%b":%b' % (field.encode(), orjson.dumps(value).removesuffix(b'"' if is_prefix else b""))
    for line in _lines_with(path, needle):
        row = record.model_validate_json(line)
        text = str(getattr(row, field))
        if text.startswith(value) if is_prefix else text == value:
            yield row


def _lines_with(path: Path, needle: bytes) -> Iterator[bytes]:
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = 0
        while (position := content.find(needle, end)) >= 0:
            start = content.rfind(b"\n", end, position) + 1 or end
            end = content.find(b"\n", position)
            end = len(content) if end < 0 else end
            yield content[start:end]
