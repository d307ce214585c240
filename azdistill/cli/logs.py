"""azdistill logs: show the log of a node."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.local_runs.run_folder import RunFolder

# Seconds between two reads of a growing log.
PERIOD_S = 0.2
# States of the nodes that are shown by default, the first ones first.
SHOWN_FIRST = ("failed", "running", "interrupted")


def logs(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="run folder, or its name in runs/")],
    node: Annotated[
        str | None,
        typer.Argument(
            metavar="NODE",
            help="default: the failed or running node, else the last one; NODE/NUMBER for a trial, a rank or a worker",
        ),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="show new lines until the node ends")] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="number of last lines; 0 for all")
    ] = 20,
) -> None:
    """Show the last lines of a node's log.

    The logs of its trials, ranks or workers and its files in ./outputs and ./logs are named.

    Example: azdistill logs quickstart train -f

    Exit codes: 0 shown, 2 there is no such run or node, 130 interrupted.
    """
    from azdistill.local_runs.run_folder import find_run

    run_folder = find_run(run)
    name, _, number = (node or "").partition("/")
    selected = _select_node(run_folder, name or None)
    _print_log(run_folder, selected, _log_path(run_folder, selected, number), lines, follow)


def _select_node(run: "RunFolder", name: str | None) -> str:
    """The node with this name, by default the failed or running one, else the last one. Raises InputError."""
    from azdistill.contracts.errors import InputError
    from azdistill.engine.problems import suggest

    if name is not None and name not in run.records:
        raise InputError(
            f"{run.path} has no such node, or it has not started",
            subject=f"node {name!r}",
            code="unknown_node",
            fix=suggest(name, run.records),
        )
    selected = (node for state in SHOWN_FIRST for node, record in run.records.items() if record.state == state)
    return name or next(selected, list(run.records)[-1])


def _log_path(run: "RunFolder", node: str, number: str) -> Path:
    """The log of a node, or of its process with this number. Raises InputError."""
    from azdistill.contracts.errors import InputError
    from azdistill.engine.local.artifacts import process_logs
    from azdistill.engine.local.attempts import LOG

    if not number:
        return run.path / node / LOG
    logs = process_logs(run.path / node)
    if number not in logs:
        fix = f"give one of {', '.join(logs)}" if logs else f"it has one log: leave out '/{number}'"
        raise InputError("no such log", subject=f"node '{node}/{number}'", code="unknown_node", fix=fix)
    return logs[number]


def _print_other_files(node: Path) -> None:
    """Name the logs of a node's processes, and its artifacts."""
    from azdistill.engine.local.artifacts import artifacts, process_logs

    if logs := list(process_logs(node)):
        shown = f"{node.name}/{logs[0]}" + (f" to {node.name}/{logs[-1]}" if len(logs) > 1 else "")
        print_text(f"more logs: {shown}", file=sys.stderr)
    for path, count in artifacts(node):
        print_text(f"{count} file{'s' if count > 1 else ''}: {path}", file=sys.stderr)


def _print_log(run: "RunFolder", node: str, log: Path, lines: int, follow: bool) -> None:
    """Print the last `lines` of a log of a node, 0 for all; with `follow` also the lines that it still writes."""
    from collections import deque
    from itertools import chain

    print_text(f"{node}: {run.node_state(node)}", file=sys.stderr)
    _print_other_files(run.path / node)
    if not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        last = deque(_complete_lines(stream), maxlen=lines or None)
        incomplete = last.pop() if follow and last and not last[-1].endswith("\n") else ""
        new = _new_lines(stream, incomplete, run.path, node) if follow else ()
        for batch in chain([last], new):
            for line in batch:
                print_text(line.rstrip("\r\n").expandtabs())
            sys.stdout.flush()


def _complete_lines(stream: TextIO) -> Iterator[str]:
    """Complete lines of a file that is being written. A read may end in the middle of a line."""
    line = ""
    for text in stream:
        line += text
        if line.endswith("\n"):
            yield line
            line = ""
    if line:
        yield line


def _new_lines(stream: TextIO, incomplete: str, run: Path, node: str) -> Iterator[list[str]]:
    """Batches of lines as they are written, starting with the rest of `incomplete`, until the node ends.

    A batch has all lines written so far, so that a node with much output is shown without delay.
    """
    running = True
    while running:
        running = _is_running(run, node)  # before the read, so that no line is missed
        *lines, incomplete = (incomplete + stream.read()).split("\n")
        yield lines
        time.sleep(PERIOD_S if running else 0)
    yield [incomplete] if incomplete else []


def _is_running(path: Path, node: str) -> bool:
    from azdistill.local_runs.run_folder import read_run

    run = read_run(path)
    return run is not None and run.records[node].state == "running" and run.in_use
