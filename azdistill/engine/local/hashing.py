"""Content hashes of files and folders. A file is read again only when its size, times or inode changed."""

import hashlib
import json
from collections.abc import Container, Iterable, Mapping
from pathlib import Path

from azdistill.engine.errors import DataError
from azdistill.engine.files import read_json
from azdistill.engine.folders import files_under
from azdistill.engine.local.storage import engine_file

Stamp = tuple[int, int, int, int]


class FileHashes:
    """sha256 of files, cached in the file `cache` between runs. `excluded` folders are left out: see `files_under`."""

    def __init__(self, cache: Path, excluded: Container[Path] = ()) -> None:
        self._cache, self.excluded = cache, excluded
        self._before = _read(cache)
        self._known: dict[str, tuple[Stamp, str]] = {}

    def file(self, path: Path) -> str:
        """sha256 of a file's bytes, hex."""
        name, stamp = str(path.absolute()), _stamp(path)
        cached = self._known.get(name) or self._before.get(name)
        digest = cached[1] if cached and cached[0] == stamp else _digest(path)
        self._known[name] = stamp, digest
        return digest

    def files(self, named: Iterable[tuple[str, Path]]) -> dict[str, str]:
        """Name -> sha256 of files by name."""
        return {name: self.file(file) for name, file in sorted(named)}

    def tree_files(self, path: Path) -> dict[str, str]:
        """Name -> sha256 of a file, or of every file in a folder."""
        return self.files([(path.name, path)] if path.is_file() else files_under(path, self.excluded))

    def tree(self, path: Path) -> str:
        """sha256 of a file, or one hash over the names and contents of a folder."""
        return self.file(path) if path.is_file() else combine(self.tree_files(path))

    def save(self) -> None:
        """Write the hashes that this run used to the cache."""
        if self._known == self._before:
            return
        partial = engine_file(self._cache.with_suffix(".partial"))
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        partial.replace(self._cache)


def combine(digests: Mapping[str, str]) -> str:
    """One sha256 over names and hashes, in the order of names."""
    return hashlib.sha256("".join(f"{name}\0{digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _read(cache: Path) -> dict[str, tuple[Stamp, str]]:
    """The cached hashes. Empty when the cache is missing or unreadable."""
    try:
        raw = read_json(cache)
        return {name: (_as_stamp(*stamp), digest) for name, (stamp, digest) in raw.items()}
    except (DataError, ValueError, TypeError, AttributeError):
        return {}


def _as_stamp(size: int, modified: int, changed: int, inode: int) -> Stamp:
    return size, modified, changed, inode
