"""The import closure of a step: what its snapshot holds, and so what its cache key is made of."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent

_STATEMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|^[ \t]*import[ \t]+(?P<modules>azdistill\b[^\n#;]*)"
    r"|^[ \t]*from[ \t]+(?P<origin>azdistill\b[\w.]*)[ \t]+import[ \t]+(?:\((?P<lines>[^)]*)\)|(?P<names>[^\n#;]*))",
    re.MULTILINE | re.DOTALL,
)
"""An import of ours, or the text in triple quotes that may only look like one. Parsing every file takes ten times as
long, which every compile would pay; a test holds each of our files to what the parser finds in it."""

_DOCSTRING = re.compile(r'\A"""(?:\\.|[^\\])*?"""', re.DOTALL)


def closure(module: str) -> list[Path]:
    """Files of the import closure of `module`, relative to the folder that holds the package, sorted.

    Found in the source without importing it, imports inside functions included. The
    data files of a package (templates) travel with any of its modules. An `__init__` that only says what its
    package is stays behind: every file is a request when a snapshot is uploaded, and Python imports from a folder
    without one.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports(name)
    return sorted({path for name in seen for path in _files(name) if not _only_told(path)})


@cache
def imports(name: str) -> tuple[str, ...]:
    """The modules of ours that a module of ours imports, sorted."""
    path = _sources().get(name)
    text = (ROOT / path).read_text(encoding="utf-8") if path else ""
    return tuple(sorted({target for target in _targets(text) if target in _sources()}))


def _targets(text: str) -> Iterator[str]:
    """Every module that an import statement may name; `from a import b` may mean a.b."""
    for found in _STATEMENT.finditer(text):
        if found["modules"]:
            yield from _names(found["modules"])
        elif found["origin"]:
            yield found["origin"]
            yield from (f"{found['origin']}.{name}" for name in _names(found["lines"] or found["names"]))


def _names(listed: str) -> Iterator[str]:
    """`a as b, c` names a and c."""
    return (item.split()[0] for item in re.sub(r"#.*", "", listed).split(",") if item.strip())


@cache
def _sources() -> dict[str, Path]:
    """The file of every module of ours, relative to ROOT."""
    return {_module(path): path for path in _tree() if path.suffix == ".py"}


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _tree() -> tuple[Path, ...]:
    """Every file of the package but compiled ones, relative to ROOT."""
    return tuple(
        Path(os.path.relpath(folder, ROOT), name)
        for folder, _, names in os.walk(PACKAGE)
        for name in names
        if not name.endswith(".pyc")
    )


@cache
def _files(name: str) -> frozenset[Path]:
    """A module, the packages that it lies in, and their data files."""
    source = _sources().get(name)
    if source is None:
        return frozenset()
    around = (folder / "__init__.py" for folder in source.parents if folder.name)
    data = (path for folder in source.parents[:-2] for path in _data().get(folder, ()))
    return frozenset([source, *around, *data])


@cache
def _only_told(path: Path) -> bool:
    """Whether it is an `__init__` of nothing but a docstring."""
    return path.name == "__init__.py" and not _DOCSTRING.sub("", (ROOT / path).read_text(encoding="utf-8")).strip()


@cache
def _data() -> dict[Path, tuple[Path, ...]]:
    folders: dict[Path, tuple[Path, ...]] = {}
    for path in _tree():
        if path.suffix not in (".py", ".md", ".pyi"):  # pages and type stubs are for people and editors
            folders[path.parent] = (*folders.get(path.parent, ()), path)
    return folders
