"""What run() returned, a file for each mini-batch: what is there does not run again."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

from azdistill.engine.local.parallel.batches import MiniBatch

_WHOLE, _SHORT, _PARTIAL = "rows", "short", "partial"


class Results:
    """Results in a folder. A worker writes beside, and `keep` renames; `short` ones, of fewer elements than items, are
    only kept for the end of this try."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in [*folder.glob(f"*.{_SHORT}"), *folder.glob(f"*.{_PARTIAL}")]:
            path.unlink()

    def __contains__(self, batch: MiniBatch) -> bool:
        return self._path(batch, _WHOLE).exists()

    def partial(self, batch: MiniBatch) -> Path:
        """Where a worker writes it."""
        return self._path(batch, _PARTIAL)

    def keep(self, batch: MiniBatch, short: bool = False) -> None:
        self.partial(batch).replace(self._path(batch, _SHORT if short else _WHOLE))

    def append(self, batches: Iterable[MiniBatch], output: Path, header: bool) -> None:
        """The rows of all mini-batches as one file, whole or not there, under the columns of the first DataFrame if
        `header`."""
        beside = output.with_name(f".{output.name}")
        with beside.open("wb") as stream:
            for batch in batches:
                for path in (self._path(batch, _WHOLE), self._path(batch, _SHORT)):
                    if path.exists():
                        with path.open("rb") as rows:
                            columns = json.loads(rows.readline())["header"]
                            if header and columns and not stream.tell():
                                stream.write(f"{columns}\n".encode())
                            shutil.copyfileobj(rows, stream)
        beside.replace(output)

    def _path(self, batch: MiniBatch, kind: str) -> Path:
        return self.folder / f"{batch.key}.{kind}"
