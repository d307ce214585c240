"""The import closure of a step: the files of its snapshot, which determine its cache key."""

import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
ROOT = PACKAGE.parent

# An import of azdistill, or a triple-quoted string, which may contain text that looks like one. Parsing every file
# takes ten times as long, at every compile. A test compares the result with the parser's for each file.
_STATEMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""'
    r"|^[ \t]*import[ \t]+(?P<modules>azdistill\b[^\n#;]*)"
    r"|^[ \t]*from[ \t]+(?P<origin>azdistill\b[\w.]*)[ \t]+import[ \t]+(?:\((?P<lines>[^)]*)\)|(?P<names>[^\n#;]*))",
    re.MULTILINE | re.DOTALL,
)

_DOCSTRING = re.compile(r'\A"""(?:\\.|[^\\])*?"""', re.DOTALL)


def closure(module: str) -> list[Path]:
    """Files of the import closure of `module`, relative to the folder that holds the package, sorted.

    The source is searched without importing it; imports inside functions count. The data files of a package
    (templates) belong to each of its modules. An `__init__` with nothing but a docstring is left out: each file is
    a request when a snapshot is uploaded, and Python imports from a folder without one.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += imports(name)
    return sorted({path for name in seen for path in _files(name) if not _has_only_docstring(path)})


@cache
def imports(name: str) -> tuple[str, ...]:
    """The azdistill modules that an azdistill module imports, sorted."""
    path = _sources().get(name)
    text = (ROOT / path).read_text(encoding="utf-8") if path else ""
    return tuple(sorted({target for target in _targets(text) if target in _sources()}))


def _targets(text: str) -> Iterator[str]:
    """Every module that an import statement may name; `from a import b` may mean a.b."""
    for statement in _STATEMENT.finditer(text):
        if statement["modules"]:
            yield from _names(statement["modules"])
        elif statement["origin"]:
            yield statement["origin"]
            yield from (f"{statement['origin']}.{name}" for name in _names(statement["lines"] or statement["names"]))


def _names(listed: str) -> Iterator[str]:
    """The modules of an import list: a and c of `a as b, c`."""
    return (item.split()[0] for item in re.sub(r"#.*", "", listed).split(",") if item.strip())


@cache
def _sources() -> dict[str, Path]:
    """The file of every azdistill module, relative to ROOT."""
    return {_module(path): path for path in _tree() if path.suffix == ".py"}


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _tree() -> tuple[Path, ...]:
    """Every file of the package except compiled ones, relative to ROOT."""
    return tuple(
        Path(os.path.relpath(folder, ROOT), name)
        for folder, _, names in os.walk(PACKAGE)
        for name in names
        if not name.endswith(".pyc")
    )


@cache
def _files(name: str) -> frozenset[Path]:
    """The files of a module: its source, the `__init__` of its packages, and their data files."""
    source = _sources().get(name)
    if source is None:
        return frozenset()
    inits = (folder / "__init__.py" for folder in source.parents if folder.name)
    data = (path for folder in source.parents[:-2] for path in _data().get(folder, ()))
    return frozenset([source, *inits, *data])


@cache
def _has_only_docstring(path: Path) -> bool:
    """True if a file is an `__init__` with nothing but a docstring."""
    return path.name == "__init__.py" and not _DOCSTRING.sub("", (ROOT / path).read_text(encoding="utf-8")).strip()


@cache
def _data() -> dict[Path, tuple[Path, ...]]:
    folders: dict[Path, tuple[Path, ...]] = {}
    for path in _tree():
        if path.suffix not in (".py", ".md", ".pyi"):  # no step reads documentation or type stubs
            folders[path.parent] = (*folders.get(path.parent, ()), path)
    return folders
