"""Check that a node did not change its inputs."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from azdistill.engine.local.hashing import FileHashes, combine
from azdistill.engine.local.records import describe_files
from azdistill.engine.local.resolve import HashedPath


class ReadOnlyInputs:
    """Inputs that no node may change.

    An input that contains a folder where nodes may write, or is inside one, is not checked. These folders are
    `shared`, the outputs that all runs share, and `engine_folders`, those of this run and of the home.
    """

    def __init__(self, hashes: FileHashes, shared: Iterable[Path], engine_folders: Iterable[Path]) -> None:
        self._hashes, self._shared, self._engine_folders = hashes, tuple(shared), tuple(engine_folders)

    def changes(self, inputs: Mapping[str, HashedPath]) -> Iterator[str]:
        """A message for each input that has changed since it was hashed."""
        for name, before in inputs.items():
            if self._is_checked(before.path) and (change := self._change(before)):
                yield f"input {name!r} {change} ({before.path}); a node must not change its inputs: copy them first"

    def _is_checked(self, path: Path) -> bool:
        contains = any(folder.is_relative_to(path) for folder in (*self._engine_folders, *self._shared))
        return not contains and not any(path.is_relative_to(folder) for folder in self._shared)

    def _change(self, before: HashedPath) -> str | None:
        try:
            if not before.path.exists():
                return "was deleted"
            files = self._hashes.tree_files(before.path)
        except OSError as error:
            return f"can no longer be read: {error.strerror}"
        return None if combine(files) == combine(before.files) else f"changed{describe_files(before.files, files)}"
