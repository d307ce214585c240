"""Run the file operations on mounts and on a local disk, and compare. `python -m tests.mounts.observed` records them.

The record is observed.json, from which docs/mounts.md is generated.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.mounts.file_operations import OPERATIONS
from tests.mounts.record import RECORD, Observed, works
from tests.workspace.mount_requirements import mounts_are_possible
from tests.workspace.mounts import ROOT, Node, node


def observe(running: Node, container: str, folder: Path) -> dict[str, Observed]:
    """Each operation on two mounts of one folder of the container, and on `folder`, which is on a local disk."""
    here, there = (running.mount(container, "file-operations/").path for _ in range(2))
    mounted = _run(running.command(*_program(here, there)))
    local = _run(_program(folder, folder))
    return {name: {"mount": mounted[name], "local": local[name]} for name in OPERATIONS}


def mount_ops_ok() -> int | None:
    """Number of file operations that a mount does as a local disk does, None where nothing can be mounted."""
    if not mounts_are_possible():
        return None
    return sum(map(works, _observe_once().values()))


def _observe_once() -> dict[str, Observed]:
    with tempfile.TemporaryDirectory() as folder, _node_with_storage(Path(folder)) as (running, container):
        return observe(running, container, Path(folder) / "local")


@contextlib.contextmanager
def _node_with_storage(folder: Path) -> Iterator[tuple[Node, str]]:
    from tests.workspace.azurite import azurite
    from tests.workspace.clients import empty_workspace
    from tests.workspace.resources.datastores import BLOB_STORE
    from tests.workspace.server import serving

    with (
        azurite(folder) as storage,
        empty_workspace(storage) as workspace,
        serving(workspace) as address,
        node(storage, address, folder) as running,
    ):
        yield running, workspace.datastores.containers[BLOB_STORE]


def _program(here: Path, there: Path) -> list[str | Path]:
    return [sys.executable, "-m", "tests.mounts.file_operations", here, there]


def _run(command: list[str] | list[str | Path]) -> dict[str, Any]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environ, check=True)
    results: dict[str, Any] = json.loads(done.stdout)
    return results


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(result)}" for name, result in _observe_once().items()]
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
