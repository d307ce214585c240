"""docs/mounts.md: generated from the file operations and the record of a run on real mounts."""

import json
from collections.abc import Iterable

from tests.mounts.file_operations import OPERATIONS, FileOperation
from tests.mounts.record import Observed, recorded, works

PAGE = """# Files on a mount

In Azure ML the steps read and write folders of a blob container, which Azure ML's data runtime mounts through FUSE.
Such a folder is not a local disk. This page lists the differences, and which of them azdistill avoids. It is generated
from a run of {total} file operations on two mounts of one folder, as two nodes have them, with version 2.26 of the
runtime (package azureml-dataprep-rslex), its default settings, and Azurite as storage. {ok} of them do what a local
disk does. Storage with a hierarchical namespace was not tried.

## The rules

- **A file is durable when it is closed**, and a rename when it returns. `fsync` uploads nothing: a node that is lost
  leaves an empty file where one was open, even after `fsync`.
- **A file that is open for writing is visible, and empty.** A reader on another node that opens it then sees it empty
  for as long as its own mount lasts.
- **A mount caches what it has read.** When another node replaces or deletes a file, a mount that has read it
  before shows the old one, until it is mounted again. The runtime's setting `DATASET_MOUNT_ATTRIBUTE_CACHE_TTL` is the
  number of seconds; by default it never expires.
- **New names appear immediately** in listings and for `open`, on all nodes.
- **A folder that is renamed over an empty folder is moved into it.** Rename folders to free names only.
- **A file that is deleted while it is open** is called `.fuse_hidden*` until it is closed, and a moment longer.
- **Locks and permissions end at the node.** `flock` works among processes of one node, and other nodes do not see it.
  `chmod` is accepted and changes nothing; hard links are refused; `statvfs` reports no free space.

## What azdistill does

- Every file that another node may read while it is written gets another name first, is closed, and is then renamed: the
  segments of the [response store](store.md), the heartbeats of the ranks, manifests, and all JSON files.
- No file that another node reads while it works is written again: each segment and each heartbeat has its own name,
  also after a restart of the same job. The marker of a checkpoint is written again by its own node; others read it at
  their start.
- A step writes its manifest last, after its other files are closed. A node that is lost leaves an output without a
  manifest, and perhaps a checkpoint that is not marked as complete; the next attempt resumes from the one before it.
- Folders are renamed to free names only.
- Nothing depends on locks, permissions, hard links, free space or modification times on a mount. The lock of
  `azdistill store compact` is seen on one machine only: compact from one machine at a time.

## All operations

"Node" is a compute node with its own mount. An operation that azdistill uses must do what a local disk does;
`make test-slow` checks the complete table where FUSE is available.

| Operation | On a mount | Used by |
|---|---|---|
{rows}
"""


def mount_page() -> str:
    record = recorded()
    rows = [_row(operation, record[name]) for name, operation in OPERATIONS.items()]
    return PAGE.format(total=len(rows), ok=sum(map(works, record.values())), rows="\n".join(rows))


def _row(operation: FileOperation, observed: Observed) -> str:
    return _cells([operation.title, _outcome(observed), operation.used_by])


def _outcome(observed: Observed) -> str:
    if works(observed):
        return "as on a local disk"
    if "error" in observed["mount"]:
        return f"refused: {observed['mount']['error']}"
    return f"differs: {_shown(observed['mount'])}, on a local disk {_shown(observed['local'])}"


def _shown(result: dict[str, object]) -> str:
    return f"`{json.dumps(result['value'], ensure_ascii=False) if 'value' in result else result['error']}`"


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")
