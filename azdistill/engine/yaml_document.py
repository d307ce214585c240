"""YAML files with positions, so that every finding can name its line."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import yaml

from azdistill.engine.errors import InputError
from azdistill.engine.problems import FieldPath as Place

_TAG = "tag:yaml.org,2002:"
_DIGITS = "[0-9][0-9_]*"
_PLAIN = {
    "null": ("~|null|Null|NULL|", "~nN"),
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (f"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        rf"[-+]?({_DIGITS}(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}
"""How a scalar without quotes is told, and with what it begins: the core schema of YAML 1.2 (10.3.2), in which `no` and
a date are text and `1e-5` is a number, with the merge key and the `1_000` of YAML 1.1."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # as fast as it was installed
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _kind, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(rf"(?:{_pattern})\Z"), [*_first, ""])


class Unreadable(Exception):
    """A file is no YAML mapping. `line` is where, 0 when it is about the file as a whole."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.line = line


@dataclass(frozen=True)
class Document:
    """A mapping read from a YAML 1.2 file: as plain dicts, lists and scalars, and as nodes that know their lines."""

    path: Path
    value: dict[str, Any]
    tree: yaml.MappingNode

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
        value = _value(tree) if isinstance(tree, yaml.MappingNode) else {}
    except OSError as problem:
        raise Unreadable(f"{problem.strerror}; name a {kind} (YAML)") from None
    except UnicodeDecodeError as problem:
        raise Unreadable(f"not UTF-8 at byte {problem.start}; save it as UTF-8") from None
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise Unreadable(f"not YAML ({problem.problem})", line) from None
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: a number too long for Python
        raise Unreadable(f"not YAML ({str(problem).splitlines()[0]})") from None
    except RecursionError:
        raise Unreadable("not YAML that can be read (an alias holds itself, or it is nested too deep)") from None
    if not isinstance(tree, yaml.MappingNode):
        raise Unreadable(f"holds no mapping of fields, so it is no {kind}")
    return Document(path, value, tree)


def read_scalar(text: str) -> Any:
    """What YAML makes of `text`; the text as it stands where that is no scalar."""
    try:
        node = _tree(text)
        return _value(node) if isinstance(node, yaml.ScalarNode) else text
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


@lru_cache(maxsize=256)
def _tree(text: str) -> yaml.Node | None:
    """Of one text there is one tree, which nobody changes: a run reads its bundle more than once."""
    return yaml.compose(text, Loader=_Loader)


def _value(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {key: _value(part) for key, part in _fields(node).items()}
    if isinstance(node, yaml.SequenceNode):
        return [_value(part) for part in node.value]
    match node.tag.removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return node.value.lower() == "true"
        case "int":
            return int(node.value.replace("_", ""), 0 if node.value[:2] in {"0o", "0x"} else 10)
        case "float":
            return float(re.sub(r"_|\.(?=inf|nan)", "", node.value.lower()))
        case _:  # text, and what other tags stand for, as it is written
            return node.value


def _fields(node: yaml.MappingNode) -> dict[str, yaml.Node]:
    """By key; of what is merged in, the keys that the mapping doesn't have itself."""
    merged: dict[str, yaml.Node] = {}
    fields: dict[str, yaml.Node] = {}
    for key, part in node.value:
        if key.tag == f"{_TAG}merge":
            merged = dict(_merged(part)) | merged
        elif not isinstance(key, yaml.ScalarNode) or key.value in fields:
            problem = f"key {key.value!r} comes twice" if isinstance(key, yaml.ScalarNode) else "a key that is no text"
            raise yaml.composer.ComposerError(problem=problem, problem_mark=key.start_mark)
        else:
            fields[key.value] = part
    return merged | fields


def _merged(part: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Of several mappings the first that has a key wins."""
    for mapping in reversed(part.value if isinstance(part, yaml.SequenceNode) else [part]):
        if not isinstance(mapping, yaml.MappingNode):
            raise yaml.composer.ComposerError(problem="<< of what is no mapping", problem_mark=mapping.start_mark)
        yield from _fields(mapping).items()


def _descend(node: yaml.Node, place: Place) -> int:
    line = node.start_mark.line
    for part in place:
        found = _part(node, part)
        if found is None:
            break
        line, node = found
    return line + 1


def _part(node: yaml.Node, part: str | int) -> tuple[int, yaml.Node] | None:
    """A part of a node, and the line that it begins in, from 0; None when it isn't there or is merged in."""
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line, node.value[part]
    return None
