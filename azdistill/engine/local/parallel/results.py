"""Rows that `run()` returned, one file per mini-batch. A mini-batch with a complete file does not run again."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from azdistill.engine.local.parallel.batches import MiniBatch

_COMPLETE, _INCOMPLETE, _PARTIAL = "rows", "short", "partial"


class BatchResults:
    """Result files in a folder. A worker writes a partial file, and `keep` renames it.

    An incomplete result has fewer rows than its mini-batch has items. It is appended at the end of this attempt, and
    deleted when another attempt starts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in [*folder.glob(f"*.{_INCOMPLETE}"), *folder.glob(f"*.{_PARTIAL}")]:
            path.unlink()

    def __contains__(self, batch: MiniBatch) -> bool:
        return self._path(batch, _COMPLETE).exists()

    def partial(self, batch: MiniBatch) -> Path:
        """The file that a worker writes."""
        return self._path(batch, _PARTIAL)

    def keep(self, batch: MiniBatch, complete: bool = True) -> None:
        """Keep the result of a mini-batch."""
        self.partial(batch).replace(self._path(batch, _COMPLETE if complete else _INCOMPLETE))

    def append(self, batches: Iterable[MiniBatch], output: Path, header: bool) -> None:
        """Write the rows of all mini-batches to one file, with the columns of the first DataFrame if `header`. The file
        is complete or absent."""
        partial = output.with_name(f".{output.name}")
        with partial.open("wb") as stream:
            for batch in batches:
                for path in (self._path(batch, _COMPLETE), self._path(batch, _INCOMPLETE)):
                    if path.exists():
                        with path.open("rb") as rows:
                            columns = json.loads(rows.readline())["header"]
                            if header and columns and not stream.tell():
                                stream.write(f"{columns}\n".encode())
                            shutil.copyfileobj(rows, stream)
        partial.replace(output)

    def _path(self, batch: MiniBatch, kind: str) -> Path:
        return self.folder / f"{batch.key}.{kind}"
