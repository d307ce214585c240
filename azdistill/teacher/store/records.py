"""One record of a store: a line of JSON with its version and checksum in front, then what a scan needs of it.

::

    {"v":2,"crc":"1c291ca3","key":"9f86...","when":1764012345678,"answer":{...},"asked_at":...,"teacher":...}

The checksum covers all that follows it. So a scan can trust a line without decoding it, and a torn line that another
one was appended to differs from both. A new field that older programs may ignore needs no new version; a field that
they would misread does.
"""

import base64
import re
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from zlib import crc32

import orjson
from pydantic import TypeAdapter

from azdistill.teacher.replies import Answer, Outcome, RowRejected

VERSION = 2
# Of zlib, for log probabilities: 131 bytes a token with its five likeliest ones, after base64. Level 6 saves a fifth
# and takes three times as long.
LEVEL = 1

TIME_BITS = 48

_BEGIN = b'{"v":%d,"crc":"' % VERSION
_CRC = slice(len(_BEGIN), len(_BEGIN) + 8)
_CHECKED = slice(_CRC.stop, -len("\n"))
_KEY = _CRC.stop + len('","key":"')
_PRECEDENCE = re.compile(rb'","when":(\d+),"(answer|refusal)":')
_VERSION = re.compile(rb'\{"v":(\d{1,6}),')
# The start of a record. These bytes cannot occur within one, as quotes in a text are escaped.
_START = re.compile(rb'(?=\{"v":\d+,"crc":")')

_ANSWER, _REJECTED = TypeAdapter(Answer), TypeAdapter(RowRejected)


def now_ms() -> int:
    return max(time.time_ns(), 0) // 1_000_000


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The final outcome of one request: an answer, or a rejection that another call would only repeat.

    `asked_at` and `teacher` are for people: the key, a hash, covers them. `when` is the time of the purchase, in ms
    since the epoch; `latency_s` is how long the endpoint took.
    """

    key: str
    asked_at: str
    teacher: str
    outcome: Outcome
    latency_s: float | None = None
    when: int = field(default_factory=now_ms)


def encode(stored: StoredAnswer) -> bytes:
    """One line, newline included. Log probabilities take 5 ms for 1,500 tokens, mostly without the GIL."""
    kind = "refusal" if isinstance(stored.outcome, RowRejected) else "answer"
    record = {"key": stored.key, "when": stored.when, kind: _fields(stored.outcome)}
    context = {"asked_at": stored.asked_at, "teacher": stored.teacher, "latency_s": stored.latency_s}
    rest = b'",' + orjson.dumps(record | context).removeprefix(b"{")
    return b"%b%08x%b\n" % (_BEGIN, crc32(rest), rest)


def _fields(outcome: Outcome) -> dict[str, Any]:
    """Fields that are set: most answers have no trace, and a store has many lines."""
    values = {name: getattr(outcome, name) for name in outcome.__slots__}
    fields = {name: value for name, value in values.items() if value is not None}
    if logprobs := fields.get("logprobs"):
        fields["logprobs"] = base64.b64encode(zlib.compress(logprobs, LEVEL)).decode()
    return fields


def key_of(line: bytes) -> str | None:
    """The key of a line that is one complete record of this version, else None. A scan spends its time here: slices
    are a third faster than a pattern."""
    if line[_CRC] == b"%08x" % crc32(line[_CHECKED]) and line.startswith(_BEGIN):
        return line[_KEY : line.index(b'"', _KEY)].decode()
    return None


def precedence(record: bytes) -> int:
    """Sort key of records with one key. The lowest counts: an answer before a rejection, then the earliest."""
    match = _PRECEDENCE.search(record, _KEY)
    return (match[2] == b"refusal") << TIME_BITS | int(match[1]) if match else 0


def is_rejection(record: bytes) -> bool:
    return precedence(record) >> TIME_BITS == 1


def split_records(line: bytes) -> Iterator[bytes]:
    """The line, split where a record starts: a record that was appended to a torn one shares its line."""
    return filter(None, _START.split(line))


def version(record: bytes) -> int | None:
    """The version that a record states; None of anything that is no record."""
    match = _VERSION.match(record)
    return int(match[1]) if match else None


def decode(record: bytes, *, logprobs: bool = True) -> StoredAnswer:
    """Decode a record that has a key. Unknown fields are ignored, and log probabilities where they are not wanted: they
    are a hundred times as long as the text."""
    fields: dict[str, Any] = orjson.loads(record)
    outcome = (
        _REJECTED.validate_python(fields["refusal"]) if "refusal" in fields else _answer(fields["answer"], logprobs)
    )
    context = str(fields["asked_at"]), str(fields["teacher"])
    return StoredAnswer(fields["key"], *context, outcome, fields.get("latency_s"), fields["when"])


def _answer(fields: Any, with_logprobs: bool) -> Answer:
    answer = _ANSWER.validate_python(fields)
    if answer.logprobs is None:
        return answer
    return replace(answer, logprobs=zlib.decompress(base64.b64decode(answer.logprobs)) if with_logprobs else None)
