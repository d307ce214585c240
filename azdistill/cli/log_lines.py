"""The log of a node on the terminal, as far as it goes or as it grows."""

import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

from azdistill.contracts.errors import InputError
from azdistill.engine.local.attempts import LOG
from azdistill.engine.problems import suggest
from azdistill.local_runs.run_folder import RunFolder, run_at

PERIOD_S = 0.2
URGENT = ("failed", "running", "interrupted")


def chosen_node(run: RunFolder, name: str | None) -> str:
    """The node of that name, or the one that a person asks about: failed, running, else the last to be active.

    Raises InputError for a name that the run doesn't have.
    """
    if name is not None and name not in run.records:
        raise InputError(f"node {name!r}: not in {run.path}, or not started; {suggest(name, run.records)}")
    urgent = (node for state in URGENT for node, record in run.records.items() if record.state == state)
    return name or next(urgent, list(run.records)[-1])


def show(run: RunFolder, node: str, lines: int, follow: bool) -> None:
    """Print the last `lines` of the node's log, 0 for all; with `follow` also what it still writes."""
    print(f"{node}: {run.records[node].state}", file=sys.stderr)
    log = run.path / node / LOG
    if not log.is_file():
        return
    with log.open(encoding="utf-8", errors="replace", newline="\n") as stream:
        last = deque(_whole(stream), maxlen=lines or None)
        begun = last.pop() if follow and last and not last[-1].endswith("\n") else ""
        for some in chain([last], _growing(stream, begun, run.path, node) if follow else ()):
            sys.stdout.write("".join(f"{_printable(line)}\n" for line in some))
            sys.stdout.flush()


def _whole(stream: TextIO) -> Iterator[str]:
    """Lines of a file that is being written: what looks like the end may be the middle of one."""
    begun = ""
    for part in stream:
        begun += part
        if begun.endswith("\n"):
            yield begun
            begun = ""
    if begun:
        yield begun


def _growing(stream: TextIO, begun: str, folder: Path, node: str) -> Iterator[list[str]]:
    """Lines as they are written, the first of them `begun` already, and what is left when the node has ended.
    They come as many at a time as there are, so that a node that says much isn't slowed by who follows it."""
    running = True
    while running:
        running = _runs(folder, node)  # asked before reading, so that nothing is missed
        *whole, begun = (begun + stream.read()).split("\n")
        yield whole
        time.sleep(PERIOD_S if running else 0)
    yield [begun] if begun else []


def _runs(folder: Path, node: str) -> bool:
    run = run_at(folder)
    return run is not None and run.records[node].state == "running" and run.in_use


def _printable(line: str) -> str:
    """A line safe to print, whatever is in it."""
    line = line.rstrip("\r\n").expandtabs()
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line)
