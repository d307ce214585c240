"""What a store holds, in figures; and one record of it, by the beginning of its key."""

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
    """What one teacher was paid for."""

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
    """Counts of records; one that is there twice counts twice, as it was paid twice. Times are ISO 8601 in UTC,
    None where no record tells its own."""

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
    """Raises InputError when there is no such store, AzdistillError when it can't be read."""
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
    told = [when for when in times if when]
    summary.keys, summary.oldest, summary.newest = len(keys), iso(min(told, default=0)), iso(max(told, default=0))
    return summary


def _pieces(folder: Path, summary: Summary) -> Iterator[Piece]:
    with reading(folder):
        for _, segment in segments(folder):
            summary.segments += 1
            summary.in_use += in_use(segment)
            summary.bytes += os.fstat(segment.fileno()).st_size
            yield from scan(segment)


def iso(when: int) -> str | None:
    """A time in ms since the epoch, to the second; None for 0, which records of the first version have."""
    return datetime.fromtimestamp(when // 1000, UTC).isoformat().replace("+00:00", "Z") if when else None


def record(folder: Path, prefix: str) -> StoredAnswer:
    """The record whose key begins with `prefix`, as a run would find it. Raises InputError unless there is one."""
    _check(folder)
    found = (key for _, key, _ in _pieces(folder, Summary("")))
    keys = sorted({key for key in found if key and key.startswith(prefix)})
    if len(keys) == 1:
        return StoreIndex(folder, keys).stored(keys[0])
    if not keys:
        raise InputError(f"store {str(folder)!r}: no key begins with {prefix!r}; completions.jsonl tells them")
    shown = ", ".join([*keys[:KEYS_SHOWN], *(["..."] if len(keys) > KEYS_SHOWN else [])])
    raise InputError(f"store {str(folder)!r}: {len(keys):,} keys begin with {prefix!r}, give more of it: {shown}")


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"store {str(folder)!r}: no such folder; the first run makes it, or name another")
