"""The import closure of a step: what its snapshot holds, and so what its cache key is made of."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent
ROOT = PACKAGE.parent
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def closure(module: str) -> list[Path]:
    """Files of the import closure of `module`, relative to the folder that holds the package, sorted.

    Found in the source without importing it, imports inside functions included. The
    data files of a package (templates) travel with any of its modules.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _imports(name)
    files = {path for name in seen for path in _files(name)}
    return sorted(path.relative_to(ROOT) for path in files)


@cache
def _imports(name: str) -> tuple[str, ...]:
    path = _source(name)
    if path is None:
        return ()
    tree = ast.parse(path.read_bytes(), filename=str(path))
    found = {target for node in _statements(tree) for target in _targets(node) if target.startswith("azdistill.")}
    return tuple(sorted(target for target in found if _source(target)))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Those within a module or a statement, at any depth. Expressions, the bulk of a file, hold no import."""
    for block in BLOCKS:
        for statement in getattr(node, block, ()):
            yield statement
            yield from _statements(statement)


def _targets(node: ast.AST) -> Iterator[str]:
    """Every module that an import statement may name; `from a import b` may mean a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _source(name: str) -> Path | None:
    path = ROOT.joinpath(*name.split("."))
    options = (path / "__init__.py", path.with_suffix(".py"))
    return next((option for option in options if option.is_file()), None)


@cache
def _files(name: str) -> tuple[Path, ...]:
    source = _source(name)
    return () if source is None else (source, *_around(source))


def _around(source: Path) -> Iterator[Path]:
    """What travels with a module: the packages that it lies in, and their data files."""
    for folder in source.parents:
        if folder == ROOT:
            return
        yield folder / "__init__.py"
        if folder != PACKAGE:
            yield from (path for path in folder.iterdir() if path.is_file() and path.suffix not in {".py", ".pyc"})
