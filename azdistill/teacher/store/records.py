"""A line of a segment: one record, its version and checksum in front, then what a scan needs of it.

::

    {"v":2,"crc":"1c291ca3","key":"9f86...","when":1764012345678,"answer":{...},"asked_at":...,"teacher":...}

The checksum is of all that follows it, so that a scan can trust a line without decoding it, and a torn line
that another one was appended to is told from both. A new field that older programs may pass over needs no
new version; whatever they would misread does.
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

from azdistill.teacher.replies import Answer, RowRejected

VERSION = 2
LEVEL = 1
"""Of zlib: 131 bytes a token with its five most likely ones, after base64. 6 saves a fifth and takes three times as
long."""

TIME_BITS = 48

_BEGIN = b'{"v":%d,"crc":"' % VERSION
_CRC = slice(len(_BEGIN), len(_BEGIN) + 8)
_CHECKED = slice(_CRC.stop, -len("\n"))
_KEY = _CRC.stop + len('","key":"')
_RANK = re.compile(rb'","when":(\d+),"(answer|refusal)":')
_FIRST_VERSION = re.compile(rb'\{"key":"([^"\\]+)","asked_at":.*\}')
_ANY_VERSION = re.compile(rb'\{"v":(\d{1,6}),')
_START = re.compile(rb'(?=\{"(?:v":\d+,"crc|key)":")')
"""Where a record begins. Inside of one these bytes can't stand: quotes in a text are escaped."""

_ANSWER, _REFUSAL = TypeAdapter(Answer), TypeAdapter(RowRejected)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What became of one question: an answer, or a refusal that asking again would not change.

    `asked_at` and `teacher` are for people: the key, a hash, already holds them. `when` is the time it was
    bought, in ms since the epoch; `latency_s` is how long the endpoint took.
    """

    key: str
    asked_at: str
    teacher: str
    outcome: Answer | RowRejected
    latency_s: float | None = None
    when: int = field(default_factory=now_ms)


def encode(stored: StoredAnswer) -> bytes:
    """One line, newline included. Log probabilities take 5 ms for 1,500 tokens, without the GIL for the most part."""
    kind = "refusal" if isinstance(stored.outcome, RowRejected) else "answer"
    fields = {"key": stored.key, "when": stored.when, kind: _said(stored.outcome)}
    about = {"asked_at": stored.asked_at, "teacher": stored.teacher, "latency_s": stored.latency_s}
    rest = b'",' + orjson.dumps(fields | about).removeprefix(b"{")
    return b"%b%08x%b\n" % (_BEGIN, crc32(rest), rest)


def _said(outcome: Answer | RowRejected) -> dict[str, Any]:
    """What there is: most answers have no trace, and a store has many lines."""
    said = {name: found for name in outcome.__slots__ if (found := getattr(outcome, name)) is not None}
    if logprobs := said.get("logprobs"):
        said["logprobs"] = base64.b64encode(zlib.compress(logprobs, LEVEL)).decode()
    return said


def key_of(line: bytes) -> str | None:
    """The key of a line that is one whole record of this version, None of any other. Slices, as a scan spends
    its time here: a pattern takes half as long again."""
    if line[_CRC] == b"%08x" % crc32(line[_CHECKED]) and line.startswith(_BEGIN):
        return line[_KEY : line.index(b'"', _KEY)].decode()
    return None


def rank(piece: bytes) -> int:
    """Of several records with one key the least counts: an answer before a refusal, then the earliest. The first
    version told no time and is the oldest."""
    found = _RANK.search(piece, _KEY)
    return (found[2] == b"refusal") << TIME_BITS | int(found[1]) if found and piece.startswith(_BEGIN) else 0


def is_refusal(piece: bytes) -> bool:
    return rank(piece) >> TIME_BITS == 1


def pieces(line: bytes) -> Iterator[bytes]:
    """The line, cut where a record begins: what was appended to a torn one shares its line."""
    return filter(None, _START.split(line))


def version(piece: bytes) -> int | None:
    """What a piece says of its version; None of the first one, which said nothing, and of what is no record."""
    found = _ANY_VERSION.match(piece)
    return int(found[1]) if found else None


def old_key(piece: bytes) -> str | None:
    """The key of a record of the first version, which had neither checksum nor time."""
    found = _FIRST_VERSION.fullmatch(piece.removesuffix(b"\n"))
    return found[1].decode() if found and _is_whole(piece) else None


def _is_whole(piece: bytes) -> bool:
    try:
        decode(piece, logprobs=False)
    except (ValueError, KeyError, TypeError):
        return False
    return True


def decode(piece: bytes, *, logprobs: bool = True) -> StoredAnswer:
    """The record of a piece that has a key. Its fields that this program doesn't know are passed over, and its
    log probabilities where they are not wanted: they are a hundred times what was said."""
    fields: dict[str, Any] = orjson.loads(piece)
    refused = "refusal" in fields
    outcome = _REFUSAL.validate_python(fields["refusal"]) if refused else _answer(fields["answer"], logprobs)
    about = str(fields["asked_at"]), str(fields["teacher"])
    return StoredAnswer(fields["key"], *about, outcome, fields.get("latency_s"), fields.get("when", 0))


def _answer(said: Any, wanted: bool) -> Answer:
    answer = _ANSWER.validate_python(said)
    if answer.logprobs is None:
        return answer
    return replace(answer, logprobs=zlib.decompress(base64.b64decode(answer.logprobs)) if wanted else None)
