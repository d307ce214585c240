"""Content hashes of files and folders. A file is read again only when its size, times or inode changed."""

import hashlib
import json
import os
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path

from azdistill.engine.errors import DataError
from azdistill.engine.files import read_json
from azdistill.engine.local.storage import own_file

Stamp = tuple[int, int, int, int]


# The cache of hashes in a run folder.
HASHES = ".hashes.json"


class FileHashes:
    """sha256 of files, cached in the file `cache` between runs. `own` are folders of the engine: see `files_under`."""

    def __init__(self, cache: Path, own: Container[Path] = ()) -> None:
        self._cache, self.own = cache, own
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
        return self.files([(path.name, path)] if path.is_file() else files_under(path, self.own))

    def tree(self, path: Path) -> str:
        """sha256 of a file, or one hash over the names and contents of a folder."""
        return self.file(path) if path.is_file() else combine(self.tree_files(path))

    def save(self) -> None:
        """Write the hashes that this run used to the cache."""
        if self._known == self._before:
            return
        partial = own_file(self._cache.with_suffix(".partial"))
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        partial.replace(self._cache)


def combine(digests: Mapping[str, str]) -> str:
    """One sha256 over names and hashes, in the order of names."""
    return hashlib.sha256("".join(f"{name}\0{digests[name]}\n" for name in sorted(digests)).encode()).hexdigest()


def files_under(folder: Path, own: Container[Path] = ()) -> Iterator[tuple[str, Path]]:
    """Relative name and path of every file in a folder. Follows links to folders, as an upload does.

    Run folders inside it, and those of `own`, which are absolute, are left out: a run with `code: .` and the default
    run folder would never be reused, and would contain itself.
    """

    def is_skipped(path: Path) -> bool:
        return path.absolute() in own or (path / HASHES).is_file() or _is_cycle(path)

    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not is_skipped(Path(parent, name))]
        for path in (Path(parent, name) for name in names):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _is_cycle(folder: Path) -> bool:
    """True for a link to a folder that contains the link, such as `latest -> .`."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


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
