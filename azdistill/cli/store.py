"""azdistill store: what the teacher answered, kept for every later run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from azdistill.cli.options import Format

Folder = Annotated[
    Path | None, typer.Argument(metavar="[FOLDER]", help="default: the store that the runs of this folder share")
]
As = Annotated[Format, typer.Option("--format", help="json: one object, for programs")]


class _InspectUnlessTold(TyperGroup):
    """`azdistill store FOLDER` is short for `azdistill store inspect FOLDER`."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        told = bool(args) and args[0] in {"--help", *self.commands}
        return super().parse_args(context, args if told else ["inspect", *args])


store = typer.Typer(cls=_InspectUnlessTold, rich_markup_mode=None)


@store.callback()
def about() -> None:
    """Show, search or compact what the teacher answered.

    Without a command it shows what a store holds: azdistill store FOLDER.

    Example: azdistill store .azdistill/datastores/workspaceblobstore/azdistill/store

    Exit codes: 0 done, 1 the store can't be read or written, 2 wrong input.
    """


@store.command("inspect")
def inspect(folder: Folder = None, format: As = Format.text) -> None:
    """Show what a store holds: rows, teachers, tokens.

    Example: azdistill store inspect --format json

    Exit codes: 0 shown, 1 it can't be read, 2 there is no such store.
    """
    from azdistill.cli.stored import tell_summary

    tell_summary(_folder(folder), format)


@store.command("show")
def show(
    words: Annotated[list[str], typer.Argument(metavar="[FOLDER] KEY_PREFIX", help="the beginning of a key")],
    format: As = Format.text,
) -> None:
    """Show one record: its question's key, the answer, what it took.

    A row of completions.jsonl tells its key.

    Example: azdistill store show 9f86d0

    Exit codes: 0 shown, 1 it can't be read, 2 no record or several.
    """
    from azdistill.cli.stored import tell_record
    from azdistill.contracts.errors import InputError

    *folders, prefix = words
    if len(folders) > 1:
        raise InputError(f"azdistill store show {' '.join(words)!r}: give one folder and the beginning of one key")
    tell_record(_folder(Path(*folders) if folders else None), prefix, format)


@store.command("compact")
def compact(
    folder: Folder = None,
    forget_refusals: Annotated[
        bool, typer.Option("--forget-refusals", help="ask again what was refused, as by a content filter")
    ] = False,
    format: As = Format.text,
) -> None:
    """Merge the segments of a store into few.

    Of each key the record that counts is kept; torn lines are dropped and counted. Runs may go on: what they
    write is left alone.

    Example: azdistill store compact

    Exit codes: 0 done, 1 it can't be read or written, 2 there is no such store.
    """
    from azdistill.cli.stored import tell_compacted

    tell_compacted(_folder(folder), forget_refusals, format)


def _folder(given: Path | None) -> Path:
    from azdistill.contracts.teacher import STORE_PATH
    from azdistill.engine.local.storage import datastore_path, home_folder

    return given or datastore_path(STORE_PATH, home_folder()) or Path()
