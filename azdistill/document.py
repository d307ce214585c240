"""YAML files with positions, so that every finding can name its line."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from azdistill.contracts.errors import InputError
from azdistill.contracts.findings import Place


class Unreadable(Exception):
    """A file is no YAML mapping. `line` is where, 0 when it is about the file as a whole."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A mapping read from a YAML 1.2 file."""

    path: Path
    tree: CommentedMap

    @cached_property
    def value(self) -> dict[str, Any]:
        """Plain dicts, lists and scalars."""
        found: dict[str, Any] = _plain(self.tree)
        return found

    def line(self, *places: Place) -> int:
        """1-based line of the deepest part of any of `places` that the file holds."""
        return max(_descend(self.tree, place) for place in places)

    def at(self, place: Iterable[str | int], text: str) -> str:
        """`file:line: text`."""
        return f"{self.path}:{self.line(tuple(place))}: {text}"


def read_document(path: Path, error: type[InputError], kind: str) -> Document:
    """Read the YAML mapping of a `kind` file ("job file"). Raises `error` with the line of what is wrong."""
    try:
        return parse_document(path, kind)
    except Unreadable as problem:
        raise error(f"{path}{f':{problem.line}' if problem.line else ''}: {problem}") from None


def parse_document(path: Path, kind: str) -> Document:
    """Read the YAML mapping of a `kind` file. Raises Unreadable."""
    try:
        tree = _tree(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise Unreadable(f"{problem.strerror}; name a {kind} (YAML)") from None
    except UnicodeDecodeError as problem:
        raise Unreadable(f"not UTF-8 at byte {problem.start}; save it as UTF-8") from None
    except MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise Unreadable(f"not YAML ({problem.problem})", line) from None
    except (YAMLError, ValueError) as problem:  # ValueError: a date such as 2026-13-45
        raise Unreadable(f"not YAML ({str(problem).splitlines()[0]})") from None
    if not isinstance(tree, CommentedMap):
        raise Unreadable(f"holds no mapping of fields, so it is no {kind}")
    return Document(path, tree)


@lru_cache(maxsize=256)
def _tree(text: str) -> Any:
    """Of one text there is one tree, which nobody changes: a run reads its bundle more than once."""
    return YAML(typ="rt", pure=True).load(text)


def _descend(node: Any, place: Place) -> int:
    line: int = node.lc.line + 1
    for part in place:
        key = _key(node, part)
        if key is None:
            break
        line = (node.lc.key(key) if isinstance(node, CommentedMap) else node.lc.item(key))[0] + 1
        node = node[key]
    return line


def _key(node: Any, part: str | int) -> Any:
    """The key in the tree that `part` of a place stands for, None when it isn't there or came by an alias."""
    if isinstance(node, CommentedMap):
        return next((key for key in node if str(key) == str(part) and key in (node.lc.data or {})), None)
    return part if isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node) else None


def _plain(node: Any) -> Any:
    if isinstance(node, CommentedMap):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return None if node is None else str(node)  # a date, as it is written
