"""What lies in a store, for people and for programs."""

import dataclasses
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from azdistill.cli.options import Format
from azdistill.teacher.replies import RowRejected
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.records import StoredAnswer
from azdistill.teacher.store.summary import Summary, iso, record, summarize

MANY_SEGMENTS = 1000

Table = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Headings, and rows of as many cells."""


def tell_summary(folder: Path, format: Format) -> None:
    """The store at a glance, then its teachers."""
    found = summarize(folder)
    if format == Format.json:
        _print_json(found)
        return
    teachers = [
        (name, *(f"{count:,}" for count in dataclasses.astuple(figures))) for name, figures in found.teachers.items()
    ]
    _print_tables(
        (("what", "in this store"), list(_figures(found))),
        (("teacher", "answers", "refusals", "prompt tokens", "completion tokens"), teachers),
    )
    if found.segments > MANY_SEGMENTS:
        print("many small segments are slow to scan; azdistill store compact makes them few")


def tell_record(folder: Path, prefix: str, format: Format) -> None:
    found = record(folder, prefix)
    if format == Format.json:
        _print_json({**dataclasses.asdict(found), "when": iso(found.when)})
        return
    _print_tables((("what", "of this record"), list(_facts(found))))
    print(found.outcome.detail if isinstance(found.outcome, RowRejected) else found.outcome.completion)


def tell_compacted(folder: Path, forget_refusals: bool, format: Format) -> None:
    done = compact(folder, forget_refusals=forget_refusals)
    if format == Format.json:
        _print_json(done)
        return
    dropped = {"repeated": done.repeated, "unreadable": done.unreadable, "refused": done.refusals_forgotten}
    print(f"{folder}: segments {done.segments:,} before, {done.now:,} now; records kept {done.kept:,}")
    print(f"dropped: {_counts(dropped)}")
    if done.in_use:
        print(f"left alone, as they may still be written: segments {done.in_use:,}")


def _figures(found: Summary) -> Iterator[tuple[str, str]]:
    yield "folder", found.folder
    yield "segments", f"{found.segments:,}" + (f", {found.in_use:,} of them in use" if found.in_use else "")
    yield "bytes", f"{found.bytes:,}"
    yield "rows", f"{found.rows:,}" + (f", of {found.keys:,} keys" if found.keys < found.rows else "")
    yield "unreadable lines", f"{found.unreadable:,}"
    yield "oldest", found.oldest or "unknown"
    yield "newest", found.newest or "unknown"
    yield "finish reasons", _counts(found.finish_reasons)
    yield "refused for", _counts(found.refusal_reasons)


def _facts(found: StoredAnswer) -> Iterator[tuple[str, str]]:
    yield "key", found.key
    yield "teacher", f"{found.teacher} at {found.asked_at}"
    yield "stored", iso(found.when) or "unknown"
    yield "latency", "unknown" if found.latency_s is None else f"{found.latency_s:.2f} s"
    if isinstance(found.outcome, RowRejected):
        yield "refused for", found.outcome.reason
        return
    yield "finish reason", found.outcome.finish_reason
    yield "tokens", f"{found.outcome.prompt_tokens:,} in, {found.outcome.completion_tokens:,} out"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common() if count) or "none"


def _print_json(found: object) -> None:
    print(orjson.dumps(found, default=_text, option=orjson.OPT_INDENT_2).decode())


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _print_tables(*tables: Table) -> None:
    for headings, rows in tables:
        if sys.stdout.isatty():
            _print_framed(headings, rows)
        else:
            _print_aligned([headings, *rows])


def _print_framed(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*headings)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def _print_aligned(rows: list[tuple[str, ...]]) -> None:
    """Whole, however long: a program may read it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
