"""Folders with links, read once each: what an upload of Azure ML's client has, without run folders of the engine."""

import os
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

# The cache of hashes in a run folder. A folder that has this file is a run folder.
HASHES = ".hashes.json"


@dataclass(frozen=True)
class Folder:
    """A folder below the one that is walked: its name relative to that one ("" for itself), its path by that name, its
    path without links, and the sorted names in it.

    `files` are all entries that are not folders, broken links included. `loops` are links to a folder above.
    """

    name: str
    path: str
    real: str
    files: tuple[str, ...]
    folders: tuple[str, ...]
    loops: tuple[str, ...]
    above: tuple[str, ...]

    def name_of(self, entry: str) -> str:
        """The name of an entry, relative to the folder that is walked."""
        return f"{self.name}/{entry}" if self.name else entry


def walk(top: Path, excluded: Container[Path] = ()) -> Iterator[Folder]:
    """Every folder below `top` in the order of names, itself first. Follows links to folders, as an upload does.

    Run folders inside it, and those in `excluded`, which are absolute paths, are left out: a run with `code: .` and the
    default run folder would never be reused, and would contain itself. A folder that cannot be read is left out too.
    """
    waiting: list[tuple[str, str, tuple[str, ...]]] = [("", str(top), ())]
    while waiting:
        name, path, above = waiting.pop()
        folder = read_folder(name, path, above, excluded)
        if folder is None:
            continue
        yield folder
        waiting += [(folder.name_of(inner), os.path.join(path, inner), folder.above) for inner in folder.folders[::-1]]


def read_folder(name: str, path: str, above: tuple[str, ...], excluded: Container[Path] = ()) -> Folder | None:
    """One folder of a walk; `above` are the paths without links of those above it. None if it cannot be read, or is
    one that is left out."""
    real = os.path.realpath(path)
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return None
    is_run = any(entry.name == HASHES for entry in entries)
    if above and (is_run or Path(os.path.abspath(path)) in excluded):
        return None
    above = (*above, real)
    folders = [entry for entry in entries if _is_folder(entry)]
    names = {entry.name for entry in folders}
    loops = {entry.name for entry in folders if entry.is_symlink() and _contains(os.path.realpath(entry.path), above)}
    return Folder(
        name,
        path,
        real,
        tuple(entry.name for entry in entries if entry.name not in names),
        tuple(entry.name for entry in folders if entry.name not in loops),
        tuple(sorted(loops)),
        above,
    )


def files_under(folder: Path, excluded: Container[Path] = ()) -> Iterator[tuple[str, Path]]:
    """Relative name and path of every file of a walk."""
    for inner in walk(folder, excluded):
        for name in inner.files:
            path = Path(inner.path, name)
            if path.is_file():
                yield inner.name_of(name), path


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _contains(target: str, above: tuple[str, ...]) -> bool:
    """True if a folder is one of those above, or contains one."""
    return any(path == target or path.startswith(target.rstrip("/") + "/") for path in above)
