"""Files of a code snapshot, as Azure ML's client uploads them, and the reasons for which it uploads none.

The client has two ways. `code` alone is read in place: the ignore file of this folder counts, and a file behind a link
to a folder is compared with it by the path without links. With `additional_includes`, everything is copied into one
folder first: ignore files of every folder count, links have their own names, and the ignore file of the copy counts
once more. See `azure.ai.ml.entities._component`, modules `code` and `_additional_includes`.

Two differences: run folders and AZDISTILL_HOME are never part of a snapshot, and `__pycache__` is ignored for jobs
that are not part of a pipeline, too.
"""

import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pathspec import GitIgnoreSpec

from azdistill.engine.folders import Folder, read_folder, walk

# The first of them in a folder counts.
_IGNORE_FILES = (".amlignore", ".gitignore")
_ALWAYS_IGNORED = "__pycache__"

# Files of a snapshot that are checked, and problems that are listed: one of its folders may be of another kind.
MAX_CHECKED_FILES, MAX_REFUSALS = 20_000, 5

Source = Literal["code", "additional_includes", "path"]


@dataclass(frozen=True)
class Refusal:
    """A reason for which Azure ML's client refuses a snapshot: the field that names the files, and a problem.

    `runs_here`: the local engine runs the command nevertheless.
    """

    source: Source
    code: str
    value: str | None
    message: str
    fix: str
    runs_here: bool = False


@dataclass
class Snapshot:
    """Name in the snapshot -> file. `zips` are archives to be written: name -> name in the archive -> file."""

    files: dict[str, Path] = field(default_factory=dict)
    zips: dict[str, dict[str, Path]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


def snapshot_of(
    code: Path | None,
    folder: Path,
    includes: Sequence[Path] = (),
    excluded: Container[Path] = (),
    most: int | None = None,
) -> Snapshot:
    """The snapshot of `code` and `additional_includes` of a component whose file is in `folder`.

    Files that are refused are not in it. `most`: stop after this number of files, ignored ones included. Reads ignore
    files, and no other content. `excluded` folders and run folders are left out: see `azdistill.engine.folders.walk`.
    """
    reader = _Reader(excluded, most)
    snapshot = reader.snapshot
    with suppress(_TooMany):
        if includes:
            reader.merge(code, folder, includes)
        elif code is not None and code.is_dir():
            reader.read(code)
        elif code is not None and code.exists():
            reader.add("code", code.name, code)
        if (code is not None or includes) and not (snapshot.files or snapshot.zips or snapshot.refusals):
            source: Source = "additional_includes" if code is None else "code"
            message, fix = "has no files to upload", "add a file, or remove this field"
            snapshot.refusals.append(Refusal(source, "empty_code", None, message, fix, True))
    return snapshot


def data_upload(folder: Path, most: int) -> tuple[Snapshot, list[str]]:
    """The upload of a folder that is an input, and the names of files that its ignore file leaves out, which a local
    run reads. Stops after `most` files."""
    reader = _Reader((), most)
    ignored: list[str] = []
    snapshot = reader.snapshot
    with suppress(_TooMany):
        reader.read_data(folder, ignored)
        if not snapshot.files and not snapshot.refusals:
            message = f"has no files to upload{', because its ignore file leaves out all' if ignored else ''}"
            snapshot.refusals.append(
                Refusal("path", "empty_data", None, message, "add a file, or change the path", True)
            )
    return snapshot, ignored


class _Patterns:
    """The patterns of an ignore file. Of those that match a file, the last one decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        """Raises ValueError for a line that is no pattern."""
        patterns = GitIgnoreSpec.from_lines(line.strip() for line in lines).patterns
        self._patterns = [pattern for pattern in reversed(list(patterns)) if pattern.include is not None]

    def match(self, name: str) -> bool:
        """True if a path relative to the folder of the patterns is ignored."""
        for pattern in self._patterns:
            if pattern.match_file(name) is not None:
                return bool(pattern.include)
        return False


_ALWAYS = _Patterns([_ALWAYS_IGNORED])

# Patterns, and the path of a folder relative to theirs, with a slash; empty for their own folder.
_Rules = tuple[tuple[_Patterns, str], ...]


class _TooMany(Exception):
    """More files than are read."""


class _Reader:
    def __init__(self, excluded: Container[Path], most: int | None) -> None:
        self.snapshot, self._excluded, self._most = Snapshot(), excluded, most
        self._folders: set[str] = set()
        self._read_files = 0

    def read(self, code: Path) -> None:
        """Read a code folder in place."""
        patterns = self._patterns("code", code)
        base = os.path.realpath(code)
        for name, file in self._walk("code", code, lambda path: patterns.match(_relative(path, base))):
            self.add("code", name, file)

    def read_data(self, folder: Path, ignored: list[str]) -> None:
        """Read a data folder in place. Names of ignored files are added to `ignored`."""
        base, path = os.path.realpath(folder), _ignore_file(folder)
        patterns = self._read("path", path, ()) if path else _Patterns(())

        def is_ignored(path: str) -> bool:
            if patterns.match(name := _relative(path, base)):
                ignored.append(name)
                return True
            return False

        for name, file in self._walk("path", folder, is_ignored):
            self.add("path", name, file)

    def merge(self, code: Path | None, folder: Path, includes: Sequence[Path]) -> None:
        """Copy code and includes into one folder, in this order."""
        if code is None:
            root = self._patterns("additional_includes", folder)
        elif code.is_dir():
            root = self._patterns("code", code)
            self._copy("code", os.path.realpath(code), "", ((root, ""),), root.match("."))
        else:
            root = _ALWAYS
            self.add("code", code.name, code)
        for include in includes:
            self._include(code, include, root)
        self._ignore_copied()

    def _include(self, code: Path | None, include: Path, root: _Patterns) -> None:
        path = Path(os.path.realpath(include))
        if code is not None and os.path.lexists(other := code / path.name) and not _is_link_to(other, path):
            message, fix = f"{str(code.name)!r} has {path.name!r} too", "rename one of them"
            self._refuse("additional_includes", "duplicate_name", path.name, message, fix)
        rules: _Rules = ((root, ""),)
        if is_zipped(path):
            self.snapshot.zips[path.name] = self._zipped(path.with_suffix(""), root)
        elif root.match(path.name):
            return
        elif path.is_dir():
            ignore_files = self._ignore_files("additional_includes", str(path))
            rules = ((root, f"{path.name}/"), *((patterns, "") for patterns in ignore_files))
            self._copy(
                "additional_includes",
                str(path),
                path.name,
                rules,
                any(patterns.match(".") for patterns in ignore_files),
            )
        elif path.exists():
            self.add("additional_includes", path.name, path)

    def _copy(self, source: Source, path: str, name: str, rules: _Rules, is_ignored: bool) -> None:
        """Copy a folder, without what the ignore file of each folder, and those above it, ignore."""
        waiting: list[tuple[str, str, _Rules, tuple[str, ...]]] = [] if is_ignored else [(name, path, rules, ())]
        while waiting:
            name, path, rules, above = waiting.pop()
            folder = read_folder(name, path, above, self._excluded)
            if folder is None:
                continue
            self._count(folder)
            for entry in folder.files:
                if not _is_ignored(rules, entry):
                    self.add(source, folder.name_of(entry), Path(path, entry))
            for entry in folder.loops:
                if not _is_ignored(rules, entry):
                    self._refuse_loop(source, folder.name_of(entry))
            for entry in reversed(folder.folders):
                ignore_files = self._ignore_files(source, os.path.join(path, entry))
                if not _is_ignored(rules, entry) and not any(patterns.match(".") for patterns in ignore_files):
                    inner = (
                        *((patterns, f"{prefix}{entry}/") for patterns, prefix in rules),
                        *((p, "") for p in ignore_files),
                    )
                    waiting.append((folder.name_of(entry), os.path.join(path, entry), inner, folder.above))

    def _zipped(self, folder: Path, root: _Patterns) -> dict[str, Path]:
        """The entries of a zip of a folder. A link is an entry with the name of its target, as the client has it."""
        inner = self._patterns("additional_includes", folder)

        def is_ignored(path: str) -> bool:
            return root.match(_relative(path, str(folder.parent))) or inner.match(_relative(path, str(folder)))

        entries = {}
        for name, file in self._walk("additional_includes", folder, is_ignored):
            if file.is_file():
                entries[os.path.relpath(file.resolve(), folder.parent)] = file
            else:
                self._refuse_file("additional_includes", name, file)
        return entries

    def _walk(self, source: Source, top: Path, is_ignored: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
        """Name and path of each file of a folder that is not ignored, by its path in a folder without links."""
        for folder in walk(top, self._excluded):
            self._count(folder)
            for entry in (*folder.files, *folder.loops):
                if is_ignored(os.path.join(folder.real, entry)):
                    continue
                if entry in folder.loops:
                    self._refuse_loop(source, folder.name_of(entry))
                else:
                    yield folder.name_of(entry), Path(folder.path, entry)

    def _ignore_copied(self) -> None:
        """Remove what the ignore file in the copy ignores."""
        copied = self.snapshot
        path = next((copied.files[name] for name in _IGNORE_FILES if name in copied.files), None)
        patterns = self._read("code", path)
        copied.files = {name: file for name, file in copied.files.items() if not patterns.match(name)}
        copied.zips = {name: entries for name, entries in copied.zips.items() if not patterns.match(name)}

    def _count(self, folder: Folder) -> None:
        """Count the files of a folder, ignored ones included. Raises _TooMany where no more are read."""
        self._read_files += len(folder.files)
        if self._most is not None and self._read_files > self._most:
            raise _TooMany

    def add(self, source: Source, name: str, path: Path) -> None:
        """Copy a file. One with the name of a folder comes into this folder."""
        files = self.snapshot.files
        if not path.is_file():
            self._refuse_file(source, name, path)
            return
        if name in self._folders:
            name = f"{name}/{path.name}"
        parents = [name[:index] for index, character in enumerate(name) if character == "/"]
        if clash := next((parent for parent in parents if parent in files), None):
            message = f"{name!r} and the file {clash!r} cannot both be in this snapshot"
            self._refuse("additional_includes", "duplicate_name", clash, message, "rename one of them")
            return
        self._folders.update(parents)
        files[name] = path

    def _ignore_files(self, source: Source, folder: str) -> tuple[_Patterns, ...]:
        return (self._patterns(source, Path(folder)),) if _ignore_file(Path(folder)) else ()

    def _patterns(self, source: Source, folder: Path) -> _Patterns:
        """The patterns of a folder's ignore file, and the one for caches of Python."""
        return self._read(source, _ignore_file(folder))

    def _read(self, source: Source, path: Path | None, always: Sequence[str] = (_ALWAYS_IGNORED,)) -> _Patterns:
        if path is None:
            return _ALWAYS
        try:
            return _Patterns([*path.read_text(encoding="utf-8-sig").splitlines(), *always])
        except (ValueError, OSError) as error:  # no pattern, or not UTF-8
            message = f"cannot be read as ignore file ({error})"
            self._refuse(source, "invalid_ignore_file", path.name, message, "correct it")
            return _ALWAYS

    def _refuse_file(self, source: Source, name: str, path: Path) -> None:
        message = "is a broken link" if path.is_symlink() else "is neither a file nor a folder"
        self._refuse(source, "broken_link", name, message, "remove it, or list it in .amlignore")

    def _refuse_loop(self, source: Source, name: str) -> None:
        message = "is a link to a folder that contains it"
        self._refuse(source, "link_loop", name, message, "remove it", runs_here=True)

    def _refuse(
        self, source: Source, code: str, value: str, message: str, fix: str, *, runs_here: bool = False
    ) -> None:
        self.snapshot.refusals.append(Refusal(source, code, value, message, fix, runs_here))


def is_zipped(path: Path) -> bool:
    """True for an include `folder.zip` that does not exist, while `folder` does: the client compresses it."""
    return path.suffix == ".zip" and not path.exists() and path.with_suffix("").is_dir()


def _ignore_file(folder: Path) -> Path | None:
    return next((folder / name for name in _IGNORE_FILES if (folder / name).is_file()), None)


def _is_ignored(rules: _Rules, name: str) -> bool:
    return any(patterns.match(prefix + name) for patterns, prefix in rules)


def _is_link_to(path: Path, target: Path) -> bool:
    return path.is_symlink() and os.path.realpath(path) == str(target)


def _relative(path: str, base: str) -> str:
    return path[len(base) + 1 :] if path.startswith(base + os.sep) else os.path.relpath(path, base)
