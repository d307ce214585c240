"""Mini-batches: what each holds, and how often it is delivered."""

import hashlib
import json
import math
import random
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.local.options import Faults
from azdistill.engine.local.parallel.inputs import Files, Table, look_into
from azdistill.engine.local.task import Deadline, Task, finish
from azdistill.engine.pipeline.model import Parallel

_CUT = Path(__file__).with_name("scripts") / "cut.py"
_FILES = 1
_BYTES = 1 << 20


@dataclass(frozen=True)
class MiniBatch:
    """Delivery number `copy`, from 0, of mini-batch number `index`, from 0. `content` is what a worker reads: `files`,
    or a `table` with the `keys` that it is of one value of."""

    index: int
    name: str
    items: int
    content: Mapping[str, Any]
    copy: int = 0

    @property
    def key(self) -> str:
        """Of its items and its delivery: it names the result."""
        return hashlib.sha256(json.dumps([self.name, self.items, self.copy]).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        first, *more = self.name.split("\n")
        again = ", delivered again" if self.copy else ""
        return f"mini-batch {self.index} ({first}{f' and {len(more)} more' if more else ''}{again})"


def split(task: Task, work: Parallel, folder: Path) -> list[MiniBatch]:
    """The mini-batches of a node's input; those of a table are files in `folder`.

    Raises InputError for an input that can't be split, or is empty.
    """
    name = work.input or ""
    path, kind = Path(task.resolved.ports[f"inputs.{name}"]), task.node.component.inputs[name].type
    found = look_into(path, kind)
    batches = list(_of_files(found, work) if isinstance(found, Files) else _of_table(task, found, work, folder))
    if not batches:
        raise InputError(f"input {name!r} at {path} holds {'no file' if isinstance(found, Files) else 'no row'}")
    return batches


def delivered(batches: list[MiniBatch], faults: Faults) -> list[MiniBatch]:
    """Every mini-batch, and after them those that come again."""
    again = random.Random(faults.seed).sample(batches, math.ceil(faults.duplicates * len(batches)))
    return batches + [replace(batch, copy=1) for batch in sorted(again, key=lambda one: one.index)]


def _of_files(found: Files, work: Parallel) -> Iterator[MiniBatch]:
    if work.in_bytes or work.partition_keys:
        given = "partition_keys" if work.partition_keys else "a mini_batch_size in bytes"
        raise InputError(f"input {work.input!r} is a list of files, and {given} is for a table; give a number of files")
    names = iter(found.named)
    for index, part in enumerate(iter(lambda: list(islice(names, work.size or _FILES)), [])):
        yield MiniBatch(index, "\n".join(part), len(part), {"files": [str(found.named[name]) for name in part]})


def _of_table(task: Task, table: Table, work: Parallel, folder: Path) -> Iterator[MiniBatch]:
    """Cut by the node's own interpreter, which has what reads a table, and once: an interrupted node finds it done."""
    listed = folder / "list.json"
    if not listed.is_file():
        _cut(task, table, work, folder)
    for index, one in enumerate(json.loads(listed.read_text(encoding="utf-8"))):
        content = {"table": one["path"], "keys": work.partition_keys}
        yield MiniBatch(index, one["name"], one["items"], content)


def _cut(task: Task, table: Table, work: Parallel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    unit = "bytes" if work.in_bytes or work.size is None else table.plain_number
    how = {"rows": None, "bytes": None, unit: work.size or _BYTES, "keys": work.partition_keys, "into": str(folder)}
    settings = folder / "settings.json"
    settings.write_text(json.dumps({**asdict(table), **how}, default=str), encoding="utf-8")
    command = f"exec python {shlex.quote(str(_CUT))} {shlex.quote(str(settings))}"
    with task.processes.start(task.launch(command)) as running:
        code = finish(running, Deadline(None))
    if code:
        raise InputError(f"input {work.input!r} could not be cut into mini-batches: exit code {code}, see above")
