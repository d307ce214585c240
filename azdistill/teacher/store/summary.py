"""Figures of a store, and one record of it by the first characters of its key."""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from azdistill.contracts.errors import InputError
from azdistill.teacher.replies import Answer
from azdistill.teacher.store.index import StoreIndex
from azdistill.teacher.store.records import StoredAnswer, decode
from azdistill.teacher.store.segments import Piece, in_use, reading, scan, segments

KEYS_SHOWN = 5


@dataclass
class TeacherSummary:
    """Answers, rejections and tokens of one teacher."""

    answers: int = 0
    refusals: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(self, outcome: object) -> None:
        if isinstance(outcome, Answer):
            self.answers += 1
            self.prompt_tokens += outcome.prompt_tokens
            self.completion_tokens += outcome.completion_tokens
        else:
            self.refusals += 1


@dataclass
class Summary:
    """Counts of records. A record that is there twice counts twice, as it was paid twice. Times are ISO 8601 in UTC,
    None in an empty store."""

    folder: str
    segments: int = 0
    in_use: int = 0
    bytes: int = 0
    rows: int = 0
    keys: int = 0
    unreadable: int = 0
    oldest: str | None = None
    newest: str | None = None
    teachers: dict[str, TeacherSummary] = field(default_factory=dict)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    refusal_reasons: Counter[str] = field(default_factory=Counter)

    def count(self, stored: StoredAnswer) -> None:
        self.rows += 1
        self.teachers.setdefault(stored.teacher, TeacherSummary()).count(stored.outcome)
        if isinstance(stored.outcome, Answer):
            self.finish_reasons[stored.outcome.finish_reason] += 1
        else:
            self.refusal_reasons[stored.outcome.reason] += 1


def summarize(folder: Path) -> Summary:
    """Count the records of a store. Raises InputError if it does not exist, AzdistillError if it cannot be read."""
    _check(folder)
    summary, keys, times = Summary(str(folder)), set[str](), list[int]()
    for _, key, content in _pieces(folder, summary):
        if key is None:
            summary.unreadable += 1
            continue
        stored = decode(content, logprobs=False)
        summary.count(stored)
        keys.add(key)
        times.append(stored.when)
    summary.keys, summary.oldest, summary.newest = len(keys), iso(min(times, default=0)), iso(max(times, default=0))
    return summary


def _pieces(folder: Path, summary: Summary) -> Iterator[Piece]:
    with reading(folder):
        for _, segment in segments(folder):
            summary.segments += 1
            summary.in_use += in_use(segment)
            summary.bytes += os.fstat(segment.fileno()).st_size
            yield from scan(segment)


def iso(when: int) -> str | None:
    """A time in ms since the epoch, to the second; None for 0."""
    return datetime.fromtimestamp(when // 1000, UTC).isoformat().replace("+00:00", "Z") if when else None


def record(folder: Path, prefix: str) -> StoredAnswer:
    """The record that a run would use for the key that starts with `prefix`. Raises InputError unless there is one."""
    _check(folder)
    keys = sorted({key for _, key, _ in _pieces(folder, Summary("")) if key and key.startswith(prefix)})
    if not keys:
        raise InputError(
            f"store {str(folder)!r}: no key starts with {prefix!r}", fix="completions.jsonl has the key of each row"
        )
    if len(keys) > 1:
        shown = ", ".join([*keys[:KEYS_SHOWN], *(["..."] if len(keys) > KEYS_SHOWN else [])])
        raise InputError(
            f"store {str(folder)!r}: {len(keys):,} keys start with {prefix!r}", fix=f"type more of the key: {shown}"
        )
    stored = StoreIndex(folder).get(keys[0])
    assert stored
    return stored


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"store {str(folder)!r}: no such folder", fix="the first run creates it, or name another")
