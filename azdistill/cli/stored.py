"""What lies in a store, for people and for programs."""

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from azdistill.cli.validate import Format
from azdistill.teacher.replies import Refusal
from azdistill.teacher.store.compaction import compact
from azdistill.teacher.store.lines import StoredAnswer
from azdistill.teacher.store.summary import Summary, iso, record, summarize

WIDTH = 120
"""Columns where no terminal tells its own."""

MANY_SEGMENTS = 1000


def tell_summary(folder: Path, format: Format) -> None:
    """The store at a glance, then its teachers."""
    found = summarize(folder)
    if format == Format.json:
        _print_json(dataclasses.asdict(found))
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
    print(found.outcome.detail if isinstance(found.outcome, Refusal) else found.outcome.completion)


def tell_compacted(folder: Path, forget_refusals: bool, format: Format) -> None:
    done = compact(folder, forget_refusals=forget_refusals)
    if format == Format.json:
        _print_json(dataclasses.asdict(done))
        return
    dropped = {"repeated": done.repeated, "unreadable": done.unreadable, "refused": done.refusals_forgotten}
    print(f"{folder}: {done.segments:,} segments before, {done.now:,} now, with {done.kept:,} records")
    print(f"dropped: {_counts(dropped)}")
    if done.in_use:
        print(f"left alone, as they may still be written: {done.in_use:,} segments")


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
    if isinstance(found.outcome, Refusal):
        yield "refused for", found.outcome.reason
        return
    yield "finish reason", found.outcome.finish_reason
    yield "tokens", f"{found.outcome.prompt_tokens:,} in, {found.outcome.completion_tokens:,} out"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common() if count) or "none"


def _print_json(found: Mapping[str, Any]) -> None:
    print(json.dumps(found, indent=2, ensure_ascii=False))


def _print_tables(*tables: tuple[tuple[str, ...], list[tuple[str, ...]]]) -> None:
    """With lines on a terminal, only aligned elsewhere."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else WIDTH)
    for headings, rows in tables:
        table = Table(*headings, box=box.ROUNDED if terminal else None, pad_edge=terminal)
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
