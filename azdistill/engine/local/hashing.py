"""Content hashes of files and folders, each file read once as long as it stays as it is."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

Stamp = tuple[int, int, int, int]


class Hashes:
    """Digests by path, kept in `cache` between runs and valid while size, times and inode are."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._before = _read(cache)
        self._known: dict[str, tuple[Stamp, str]] = {}

    def file(self, path: Path) -> str:
        """sha256 of a file's bytes, hex."""
        name, stamp = str(path.absolute()), _stamp(path)
        known = self._known.get(name) or self._before.get(name)
        digest = known[1] if known and known[0] == stamp else _digest(path)
        self._known[name] = stamp, digest
        return digest

    def parts(self, path: Path) -> dict[str, str]:
        """Name -> sha256 of a file, or of every file in a folder."""
        return self.files([(path.name, path)] if path.is_file() else files_under(path))

    def files(self, named: Iterable[tuple[str, Path]]) -> dict[str, str]:
        return {name: self.file(file) for name, file in sorted(named)}

    def tree(self, path: Path) -> str:
        """sha256 of a file, or over the names and contents of a folder."""
        return self.file(path) if path.is_file() else total(self.parts(path))

    def save(self) -> None:
        """Keep what was asked for in this run; the rest belongs to files of earlier ones."""
        if self._known == self._before:
            return
        partial = self._cache.with_suffix(".partial")
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        partial.replace(self._cache)


def total(parts: Mapping[str, str]) -> str:
    """One digest of many: sha256 over the names and digests, in the order of names."""
    return hashlib.sha256("".join(f"{name}\0{parts[name]}\n" for name in sorted(parts)).encode()).hexdigest()


def files_under(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name relative to the folder and path of every file, through links to folders as an upload goes."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _leads_back(Path(place, name))]
        for path in (Path(place, name) for name in names):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _leads_back(folder: Path) -> bool:
    """True for a link to a folder that it lies in, such as `latest -> .`, which has no end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _read(cache: Path) -> dict[str, tuple[Stamp, str]]:
    """An unreadable cache is no cache."""
    try:
        raw = json.loads(cache.read_text(encoding="utf-8"))
        return {name: (_as_stamp(*stamp), digest) for name, (stamp, digest) in raw.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _as_stamp(size: int, modified: int, changed: int, inode: int) -> Stamp:
    return size, modified, changed, inode
