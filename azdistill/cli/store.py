"""azdistill store: show, search or compact the store of teacher answers."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from azdistill.cli.options import Format
from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.teacher.store.records import StoredAnswer
    from azdistill.teacher.store.summary import Summary

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        help="a store, or a folder .azdistill that has one; default: that of the runs of the current folder",
    ),
]
OutputFormat = Annotated[Format, typer.Option("--format", help="json: one object, for programs")]

# Number of segments above which reading a store is slow.
MANY_SEGMENTS = 1000

# Headings, and rows with one cell for each heading.
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


class _InspectByDefault(TyperGroup):
    """`azdistill store FOLDER` is short for `azdistill store inspect FOLDER`."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        names_a_command = bool(args) and args[0] in {"--help", *self.commands}
        return super().parse_args(context, args if names_a_command else ["inspect", *args])


store = typer.Typer(cls=_InspectByDefault, rich_markup_mode=None)


@store.callback()
def about() -> None:
    """Show, search or compact the store of teacher answers.

    Without a command it shows a summary: azdistill store FOLDER.

    Example: azdistill store project/.azdistill

    Exit codes: 0 done, 1 the store cannot be read or written, 2 wrong input.
    """


@store.command("inspect")
def inspect(folder: Folder = None, format: OutputFormat = Format.text) -> None:
    """Show a summary of a store: rows, teachers, tokens.

    Example: azdistill store inspect --format json

    Exit codes: 0 shown, 1 it cannot be read, 2 there is no such store.
    """
    from azdistill.teacher.store.summary import summarize

    summary = summarize(_folder(folder))
    if format == Format.json:
        _print_json(summary)
        return
    _print_tables((("item", "value"), list(_summary_rows(summary))), _teacher_table(summary))
    if not summary.segments:
        print_text("this folder has no segments, so it is no store, or no answer has arrived yet")
    if summary.segments > MANY_SEGMENTS:
        print_text("many small segments are slow to read; azdistill store compact merges them")


@store.command("show")
def show(
    words: Annotated[
        list[str], typer.Argument(metavar="KEY", help="start of a record's key; before it, a store of another folder")
    ],
    format: OutputFormat = Format.text,
) -> None:
    """Show one record: key, answer, tokens and latency.

    A row of completions.jsonl contains its key.

    Example: azdistill store show 9f86d0

    Exit codes: 0 shown, 1 it cannot be read, 2 no record or several.
    """
    import dataclasses

    from azdistill.contracts.errors import InputError
    from azdistill.teacher.replies import RowRejected
    from azdistill.teacher.store.summary import iso, record

    *folders, prefix = words
    if len(folders) > 1:
        raise InputError("must be one folder and the start of one key", subject=f"store show {' '.join(words)!r}")
    stored = record(_folder(Path(*folders) if folders else None), prefix)
    if format == Format.json:
        _print_json({**dataclasses.asdict(stored), "when": iso(stored.when)})
        return
    _print_tables((("item", "value"), list(_record_rows(stored))))
    print_text(stored.outcome.detail if isinstance(stored.outcome, RowRejected) else stored.outcome.completion)


@store.command("compact")
def compact(
    folder: Folder = None,
    forget_refusals: Annotated[
        bool,
        typer.Option("--forget-refusals", help="drop refusals, as by a content filter: the rows are sent again"),
    ] = False,
    format: OutputFormat = Format.text,
) -> None:
    """Merge the segments of a store.

    The valid record of each key is kept; incomplete lines are dropped and counted. Runs can continue: the segments
    that they write are not touched.

    Example: azdistill store compact

    Exit codes: 0 done, 1 it cannot be read or written, 2 there is no such store.
    """
    from azdistill.teacher.store.compaction import compact as compact_store

    path = _folder(folder)
    done = compact_store(path, forget_refusals=forget_refusals)
    if format == Format.json:
        _print_json(done)
        return
    dropped = {"repeated": done.repeated, "unreadable": done.unreadable, "refused": done.refusals_forgotten}
    print_text(f"{path}: segments {done.segments:,} before, {done.now:,} now; records kept {done.kept:,}")
    print_text(f"dropped: {_counts(dropped)}")
    if done.in_use:
        print_text(f"not touched, because a run may write to them: segments {done.in_use:,}")


def _folder(folder: Path | None) -> Path:
    from azdistill.contracts.requests import STORE_PATH
    from azdistill.engine.local.storage import datastore_path, home_folder

    in_home = datastore_path(STORE_PATH, folder or home_folder())
    assert in_home
    return folder if folder and not in_home.is_dir() else in_home


def _summary_rows(summary: "Summary") -> Iterator[tuple[str, str]]:
    yield "folder", summary.folder
    yield "segments", f"{summary.segments:,}" + (f", {summary.in_use:,} of them in use" if summary.in_use else "")
    yield "bytes", f"{summary.bytes:,}"
    yield "rows", f"{summary.rows:,}" + (f", of {summary.keys:,} keys" if summary.keys < summary.rows else "")
    yield "unreadable lines", f"{summary.unreadable:,}"
    yield "oldest", summary.oldest or "unknown"
    yield "newest", summary.newest or "unknown"
    yield "finish reasons", _counts(summary.finish_reasons)
    yield "refused for", _counts(summary.refusal_reasons)


def _teacher_table(summary: "Summary") -> Table:
    import dataclasses

    rows = [
        (name, *(f"{count:,}" for count in dataclasses.astuple(figures))) for name, figures in summary.teachers.items()
    ]
    return ("teacher", "answers", "refusals", "prompt tokens", "completion tokens"), rows


def _record_rows(stored: "StoredAnswer") -> Iterator[tuple[str, str]]:
    from azdistill.teacher.replies import RowRejected
    from azdistill.teacher.store.summary import iso

    yield "key", stored.key
    yield "teacher", f"{stored.teacher} at {stored.asked_at}"
    yield "stored", iso(stored.when) or "unknown"
    yield "latency", "unknown" if stored.latency_s is None else f"{stored.latency_s:.2f} s"
    if isinstance(stored.outcome, RowRejected):
        yield "refused for", stored.outcome.reason
        return
    yield "finish reason", stored.outcome.finish_reason
    yield "tokens", f"{stored.outcome.prompt_tokens:,} in, {stored.outcome.completion_tokens:,} out"


def _counts(counts: Mapping[str, int]) -> str:
    from collections import Counter

    return ", ".join(f"{name} {count:,}" for name, count in Counter(counts).most_common() if count) or "none"


def _print_json(content: object) -> None:
    import orjson

    def decode(raw: bytes) -> str:
        return raw.decode(errors="replace")

    print_text(orjson.dumps(content, default=decode, option=orjson.OPT_INDENT_2).decode())


def _print_tables(*tables: Table) -> None:
    """Print tables, with frames on a terminal and as plain columns elsewhere."""
    import sys

    from azdistill.cli.render import console, framed_table, print_columns

    for headings, rows in tables:
        if not sys.stdout.isatty():
            print_columns([headings, *rows])
            continue
        console().print(framed_table(headings, rows))
