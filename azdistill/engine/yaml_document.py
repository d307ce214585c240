"""YAML files with positions, so that every finding can name its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import yaml

from azdistill.engine.errors import InputError
from azdistill.engine.problems import FieldPath

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


@dataclass(frozen=True)
class Document:
    """A mapping read from a YAML 1.2 file: as plain dicts, lists and scalars, and as nodes that know their lines."""

    path: Path
    value: dict[str, Any]
    tree: yaml.MappingNode

    def line(self, *fields: FieldPath) -> int:
        """1-based line of the first of `fields` or, where the file does not have it, of the section it belongs to.

        Of several fields the one furthest down in the file counts.
        """
        return max(_line(self.tree, field) for field in fields)


def read_document(path: Path, error: type[InputError], kind: str) -> Document:
    """Read the YAML mapping of a `kind` file ("job file"). Raises `error` with the line of what is wrong."""
    try:
        tree = _compose(path.read_text(encoding="utf-8"))
        value = _value(tree) if isinstance(tree, yaml.MappingNode) else {}
    except OSError as problem:
        message = problem.strerror or "cannot be read"
        raise error(message, code="unreadable_file", fix=f"name the {kind} (YAML)", file=path) from None
    except UnicodeDecodeError as problem:
        message = f"not UTF-8 (byte {problem.start})"
        raise error(message, code="not_utf8", fix="save it as UTF-8", file=path) from None
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise error(f"not valid YAML ({problem.problem})", code="invalid_yaml", file=path, line=line) from None
    except (yaml.YAMLError, ValueError) as problem:  # ValueError: a number too long for Python
        message = f"not valid YAML ({str(problem).splitlines()[0]})"
        raise error(message, code="invalid_yaml", file=path) from None
    except RecursionError:
        message = "nested too deeply, or an alias contains itself"
        raise error(message, code="invalid_yaml", file=path) from None
    if not isinstance(tree, yaml.MappingNode):
        fix = f"a {kind} is a YAML mapping, one `name: value` a line"
        raise error("not a YAML mapping", code="not_a_mapping", fix=fix, file=path)
    return Document(path, value, tree)


def read_scalar(text: str) -> Any:
    """What YAML makes of `text`; the text as it stands where that is no scalar."""
    try:
        node = _compose(text)
        return _value(node) if isinstance(node, yaml.ScalarNode) else text
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


@lru_cache(maxsize=256)
def _compose(text: str) -> yaml.Node | None:
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
            problem = f"duplicate key {key.value!r}" if isinstance(key, yaml.ScalarNode) else "a key must be text"
            raise yaml.composer.ComposerError(problem=problem, problem_mark=key.start_mark)
        else:
            fields[key.value] = part
    return merged | fields


def _merged(part: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    """Of several mappings the first that has a key wins."""
    for mapping in reversed(part.value if isinstance(part, yaml.SequenceNode) else [part]):
        if not isinstance(mapping, yaml.MappingNode):
            raise yaml.composer.ComposerError(problem="<< must merge a mapping", problem_mark=mapping.start_mark)
        yield from _fields(mapping).items()


def _line(node: yaml.Node, field: FieldPath) -> int:
    line = node.start_mark.line
    for key in field:
        entry = _entry(node, key)
        if entry is None:
            break
        line, node = entry
    return line + 1


def _entry(node: yaml.Node, key: str | int) -> tuple[int, yaml.Node] | None:
    """0-based line and node of a mapping's key or a sequence's index; None when it is absent or merged in."""
    if isinstance(node, yaml.MappingNode):
        return next(((name.start_mark.line, value) for name, value in node.value if name.value == str(key)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line, node.value[key]
    return None
