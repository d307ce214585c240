"""Split the input of a parallel node into mini-batches."""

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
from azdistill.engine.local.attempts import Deadline, NodeAttempt, wait_until
from azdistill.engine.local.options import Faults
from azdistill.engine.local.parallel.inputs import FileList, TableInput, read_input
from azdistill.engine.pipeline.model import Parallel

_SPLIT_TABLE = Path(__file__).with_name("scripts") / "split_table.py"
# Azure ML's defaults for the size of a mini-batch: one file, or 1 MB of a table.
_DEFAULT_FILES = 1
_DEFAULT_BYTES = 1 << 20


@dataclass(frozen=True)
class MiniBatch:
    """Delivery number `copy` of mini-batch number `index`, both from 0.

    `content` is the message to a worker: `files`, or a `table` and the `keys` that have one value in it.
    """

    index: int
    name: str
    items: int
    content: Mapping[str, Any]
    copy: int = 0

    @property
    def key(self) -> str:
        """Hash of its items and its delivery: the name of its result file."""
        return hashlib.sha256(json.dumps([self.name, self.items, self.copy]).encode()).hexdigest()[:32]

    def __str__(self) -> str:
        first, *more = self.name.split("\n")
        copy = ", second delivery" if self.copy else ""
        return f"mini-batch {self.index} ({first}{f' and {len(more)} more' if more else ''}{copy})"


def split_input(attempt: NodeAttempt, parallel: Parallel, folder: Path) -> list[MiniBatch]:
    """The mini-batches of a node's input. Those of a table are written to files in `folder`.

    Raises InputError for an input that cannot be split, or is empty.
    """
    name = parallel.input or ""
    path, kind = Path(attempt.resolved.ports[f"inputs.{name}"]), attempt.node.component.inputs[name].type
    data = read_input(path, kind)
    if isinstance(data, FileList):
        batches, item = list(_split_files(data, parallel)), "file"
    else:
        batches, item = list(_split_table(attempt, data, parallel, folder)), "row"
    if not batches:
        raise InputError(f"{path} contains no {item}", subject=f"input {name!r}")
    return batches


def with_duplicates(batches: list[MiniBatch], faults: Faults) -> list[MiniBatch]:
    """All mini-batches, followed by those that are delivered twice."""
    duplicates = random.Random(faults.seed).sample(batches, math.ceil(faults.duplicates * len(batches)))
    return batches + [replace(batch, copy=1) for batch in sorted(duplicates, key=lambda batch: batch.index)]


def _split_files(data: FileList, parallel: Parallel) -> Iterator[MiniBatch]:
    if parallel.in_bytes or parallel.partition_keys:
        setting = "partition_keys" if parallel.partition_keys else "a mini_batch_size in bytes"
        raise InputError(
            f"this is a list of files, but {setting} needs a table",
            subject=f"input {parallel.input!r}",
            fix="set mini_batch_size to a number of files",
        )
    names = iter(data.files)
    size = parallel.size or _DEFAULT_FILES
    for index, chunk in enumerate(iter(lambda: list(islice(names, size)), [])):
        files = [str(data.files[name]) for name in chunk]
        yield MiniBatch(index, "\n".join(chunk), len(chunk), {"files": files})


def _split_table(attempt: NodeAttempt, table: TableInput, parallel: Parallel, folder: Path) -> Iterator[MiniBatch]:
    """Split a table. It is split once: an interrupted node reuses the files of its first attempt."""
    index_file = folder / "list.json"
    if not index_file.is_file():
        _run_split_table(attempt, table, parallel, folder)
    for index, entry in enumerate(json.loads(index_file.read_text(encoding="utf-8"))):
        content = {"table": entry["path"], "keys": parallel.partition_keys}
        yield MiniBatch(index, entry["name"], entry["items"], content)


def _run_split_table(attempt: NodeAttempt, table: TableInput, parallel: Parallel, folder: Path) -> None:
    """Split with the node's own interpreter, which has pandas."""
    folder.mkdir(parents=True, exist_ok=True)
    unit = "bytes" if parallel.in_bytes or parallel.size is None else table.size_unit
    size = {"rows": None, "bytes": None, unit: parallel.size or _DEFAULT_BYTES}
    settings = {**asdict(table), **size, "keys": parallel.partition_keys, "into": str(folder)}
    settings_file = folder / "settings.json"
    settings_file.write_text(json.dumps(settings, default=str), encoding="utf-8")
    command = f"exec python {shlex.quote(str(_SPLIT_TABLE))} {shlex.quote(str(settings_file))}"
    with attempt.processes.start(attempt.launch(command)) as running:
        code = wait_until(running, Deadline(None))
    if code:
        raise InputError(
            f"splitting it into mini-batches failed with exit code {code}; see the lines above",
            subject=f"input {parallel.input!r}",
        )
