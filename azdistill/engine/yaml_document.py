"""Read YAML files with the line of every field, so that problems can name it."""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import yaml

from azdistill.engine.errors import InputError
from azdistill.engine.files import read_limited
from azdistill.engine.problems import FieldPath

# Limits of a file, so that a hostile or broken one takes neither minutes nor the memory of the machine. Values are
# counted with aliases expanded: nine levels of `[*a, *a, *a, *a, *a, *a, *a, *a, *a]` are a billion.
MAX_BYTES = 1_000_000
MAX_VALUES = 10_000
MAX_DEPTH = 100
# YAML 1.2 (7.4.2) limits a key without `?` to this length.
MAX_KEY_LENGTH = 1024
# A longer integer may be too large for a float.
MAX_DIGITS = 200
# A file of Azure ML has none. libyaml compares each with all others.
MAX_DIRECTIVES = 10

_TAG = "tag:yaml.org,2002:"
_DIGITS = "[0-9][0-9_]*"

# Version of YAML that a file is read as. Azure's client reads YAML 1.1, by PyYAML's SafeLoader: there `no` is false,
# `012` is 10, `1:30` is 90 and `2024-01-01` is a date.
Version = Literal["1.1", "1.2"]
AZURE_YAML: Version = "1.1"

# Pattern and first characters of plain scalars by type. This is the core schema of YAML 1.2 (10.3.2), in which `no` and
# a date are text and `1e-5` is a number, with the merge key and the `1_000` of YAML 1.1.
_PLAIN_SCALARS = {
    "null": ("~|null|Null|NULL|", "~nN"),
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (f"[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    "float": (
        rf"[-+]?({_DIGITS}(\.[0-9_]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "merge": ("<<", "<"),
}


# libyaml where PyYAML is installed with it: about 30 times as fast.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _type, (_pattern, _first) in _PLAIN_SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _type, re.compile(rf"(?:{_pattern})\Z"), [*_first, ""])

_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_CONSTRUCTORS_1_1: Mapping[str, Callable[[yaml.ScalarNode], Any]] = {
    type: getattr(_CONSTRUCTOR, f"construct_yaml_{type}") for type in ("null", "bool", "int", "float", "timestamp")
}
_TAGS_1_1 = frozenset("null bool int float binary timestamp omap pairs set str seq map".split())
_LOADERS: Mapping[Version, Any] = {"1.1": _SafeLoader, "1.2": _Loader}


class Reading(NamedTuple):
    """A field whose value in YAML 1.1 is another than a person would read, whose name is no text there, that replaces
    an earlier one of its name, or that libyaml can read and PyYAML cannot (`invalid_yaml`).

    `text` is that of the file, `value` what is read.
    """

    field: FieldPath
    code: Literal["yaml_1_1", "key_is_no_text", "duplicate_key", "invalid_yaml"]
    text: str
    value: Any


@dataclass(frozen=True)
class Document:
    """A mapping read from a YAML file: as plain dicts, lists and scalars, and as nodes that know their lines.

    `readings` are those of YAML 1.1; a file that is read as YAML 1.2 has none.
    """

    path: Path
    value: dict[str, Any]
    tree: yaml.MappingNode
    readings: tuple[Reading, ...] = ()

    def line(self, *fields: FieldPath) -> int:
        """1-based line of a field or, where the file does not have it, of the innermost section that it has.

        Of several fields the one furthest down in the file counts.
        """
        return max(map(self._line, fields))

    def _line(self, field: FieldPath) -> int:
        keys = tuple(map(str, field))
        return next(self._lines[keys[:end]] for end in range(len(keys), -1, -1) if keys[:end] in self._lines)

    @cached_property
    def _lines(self) -> dict[tuple[str, ...], int]:
        """Lines of all fields. A field that is merged in has none."""
        return {(): self.tree.start_mark.line + 1, **dict(_lines(self.tree, ()))}


def read_document(path: Path, error: type[InputError], kind: str, version: Version = "1.2") -> Document:
    """Read the YAML mapping of a `kind` file ("job file"). Raises `error` with the line of the problem."""
    values = _Values(version)
    try:
        tree = _compose(read_limited(path, MAX_BYTES).decode("utf-8"), version)
        value = values.of(tree) if isinstance(tree, yaml.MappingNode) else {}
    except OSError as problem:
        message = problem.strerror or "cannot be read"
        raise error(message, code="unreadable_file", fix=f"name the {kind} (YAML)", file=path) from None
    except UnicodeDecodeError as problem:
        message = f"not UTF-8 (byte {problem.start})"
        raise error(message, code="not_utf8", fix="save it as UTF-8", file=path) from None
    except yaml.MarkedYAMLError as problem:
        line = problem.problem_mark.line + 1 if problem.problem_mark else 1
        raise error(f"not valid YAML ({problem.problem})", code="invalid_yaml", file=path, line=line) from None
    except (yaml.YAMLError, ValueError) as problem:
        message = f"not valid YAML ({str(problem).splitlines()[0]})"
        raise error(message, code="invalid_yaml", file=path) from None
    except RecursionError:
        message = "not valid YAML (nested too deeply, or an alias contains itself)"
        raise error(message, code="invalid_yaml", file=path) from None
    if not isinstance(tree, yaml.MappingNode):
        fix = f"a {kind} is a YAML mapping, one `name: value` a line"
        raise error("not a YAML mapping", code="not_a_mapping", fix=fix, file=path)
    return Document(path, value, tree, tuple(values.readings))


def read_scalar(text: str) -> Any:
    """The value of a YAML scalar; the text itself where it is none."""
    try:
        node = _compose(text)
        return _Values().of(node) if isinstance(node, yaml.ScalarNode) else text
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


@lru_cache(maxsize=256)
def _compose(text: str, version: Version = "1.2") -> yaml.Node | None:
    """The node tree of a text. It is cached, because a run reads the files of its bundle several times."""
    if text.count("\n%") > MAX_DIRECTIVES:
        raise yaml.YAMLError(f"more than {MAX_DIRECTIVES} directives")
    _check_size(text)
    return yaml.compose(text, Loader=_LOADERS[version])


def _check_size(text: str) -> None:
    """Raise an error for a text with too many values, or nested so deeply that libyaml's composer would overflow the
    stack.

    Nesting needs brackets, or blocks inside blocks, and every value follows an indicator or a new line: only a text
    with many of them is parsed for its depth and number of values.
    """
    nesting = sum(map(text.count, ("[", "{", "- ", "-\n", "-\t", "? ")))
    if nesting < MAX_DEPTH and nesting + sum(map(text.count, (",", ":", "\n"))) < MAX_VALUES // 2:
        return
    depth = values = 0
    for event in yaml.parse(text, Loader=_Loader):
        values += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise RecursionError
        if values > 2 * MAX_VALUES:  # keys are no values
            raise _too_many_values()


def _too_many_values() -> yaml.YAMLError:
    return yaml.YAMLError(f"more than {MAX_VALUES:,} values, with aliases expanded")


class _Values:
    """Convert nodes to plain values, at most `MAX_VALUES` of them."""

    def __init__(self, version: Version = "1.2") -> None:
        self.count = 0
        self.version = version
        self.readings: list[Reading] = []

    def of(self, node: yaml.Node, field: FieldPath = (), in_flow: bool = False) -> Any:
        self._count(1)
        if self.version == AZURE_YAML:
            _check_tag(node)
        if isinstance(node, yaml.MappingNode):
            fields = self.fields(node, field).items()
            return {key: self.of(value, (*field, key), bool(node.flow_style)) for key, value in fields}
        if isinstance(node, yaml.SequenceNode):
            in_flow = bool(node.flow_style)
            return [self.of(entry, (*field, index), in_flow) for index, entry in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if in_flow and not node.style and "?" in node.value and self.version == AZURE_YAML:
            self.readings.append(Reading(field, "invalid_yaml", node.value, node.value))
        return self._of_1_1(node, field) if self.version == AZURE_YAML else self._of_1_2(node)

    def _of_1_1(self, node: yaml.ScalarNode, field: FieldPath) -> Any:
        """The value that PyYAML reads, but for a date, which stays text: Azure's client has no use for it."""
        value = _constructed(node)
        if _is_surprising(node.value, value):
            self.readings.append(Reading(field, "yaml_1_1", node.value, value))
        return node.value if isinstance(value, datetime.date) else value

    def _of_1_2(self, node: yaml.ScalarNode) -> Any:
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return node.value.lower() == "true"
            case "int":
                _check_digits(node)
                return int(node.value.replace("_", ""), 0 if node.value[:2] in {"0o", "0x"} else 10)
            case "float":
                return float(re.sub(r"_|\.(?=inf|nan)", "", node.value.lower()))
            case _:  # text, or a value with another tag, which stays text
                return node.value

    def _count(self, values: int) -> None:
        self.count += values
        if self.count > MAX_VALUES:
            raise _too_many_values()

    def fields(self, node: yaml.MappingNode, field: FieldPath = ()) -> dict[str, yaml.Node]:
        """Nodes by key. A merged key is used where the mapping does not have it itself. In YAML 1.1 the last of several
        equal keys is used, as PyYAML does."""
        merged: dict[str, yaml.Node] = {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                merged = dict(self._merged_fields(value)) | merged
                continue
            if message := _wrong_key(key):
                raise yaml.composer.ComposerError(problem=message, problem_mark=key.start_mark)
            if key.value in fields:
                if self.version != AZURE_YAML:
                    message = f"duplicate key {key.value!r}"
                    raise yaml.composer.ComposerError(problem=message, problem_mark=key.start_mark)
                self.readings.append(Reading((*field, key.value), "duplicate_key", key.value, None))
            if self.version == AZURE_YAML and not isinstance(name := _constructed(key), str):
                self.readings.append(Reading((*field, key.value), "key_is_no_text", key.value, name))
            fields[key.value] = value
        return merged | fields

    def _merged_fields(self, node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
        """Fields of one or several merged mappings; the first mapping that has a key wins, so it comes last."""
        for mapping in reversed(node.value if isinstance(node, yaml.SequenceNode) else [node]):
            if not isinstance(mapping, yaml.MappingNode):
                raise yaml.composer.ComposerError(problem="<< must merge a mapping", problem_mark=mapping.start_mark)
            fields = self.fields(mapping)
            self._count(1 + len(fields))
            yield from fields.items()


def _constructed(node: yaml.ScalarNode) -> Any:
    """The value that PyYAML constructs of a scalar."""
    construct = _CONSTRUCTORS_1_1.get(node.tag.removeprefix(_TAG))
    if construct is None:
        return node.value
    _check_digits(node)
    try:
        return construct(node)
    except (ValueError, KeyError, AttributeError, OverflowError):  # PyYAML does not check what a tag claims
        message = f"{node.value[:MAX_DIGITS]!r} is not of type {node.tag.removeprefix(_TAG)}"
        raise yaml.composer.ComposerError(problem=message, problem_mark=node.start_mark) from None


def _check_tag(node: yaml.Node) -> None:
    """PyYAML's SafeLoader refuses a tag that it does not know, and Azure's client a set, which JSON has not."""
    if node.tag == f"{_TAG}set":
        raise yaml.composer.ComposerError(problem="a !!set is no value of a job", problem_mark=node.start_mark)
    if node.tag.removeprefix(_TAG) not in _TAGS_1_1:
        raise yaml.composer.ComposerError(problem=f"unknown tag {node.tag!r}", problem_mark=node.start_mark)


def _check_digits(node: yaml.ScalarNode) -> None:
    if len(node.value) > MAX_DIGITS and node.tag == f"{_TAG}int":
        message = f"a number has at most {MAX_DIGITS} digits"
        raise yaml.composer.ComposerError(problem=message, problem_mark=node.start_mark)


def _is_surprising(text: str, value: Any) -> bool:
    """True for a value that a person would not read in a text: a date, `no`, `012` and `1:30`."""
    match value:
        case bool():
            return text.lower() not in ("true", "false")
        case int() | float():
            return bool(re.match(r"[-+]?0[0-9b]|.*:", text)) and float(value) != _decimal(text)
        case datetime.date():
            return True
        case _:
            return False


def _decimal(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _wrong_key(key: yaml.Node) -> str:
    """The reason why a node cannot be a key; empty if it can."""
    if not isinstance(key, yaml.ScalarNode):
        return "a key must be text"
    if len(key.value) > MAX_KEY_LENGTH:
        return f"a key must have at most {MAX_KEY_LENGTH:,} characters"
    return ""


def _lines(node: yaml.Node, parents: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Path and 1-based line of every field below a node."""
    for key, line, value in _entries(node):
        yield (*parents, key), line + 1
        yield from _lines(value, (*parents, key))


def _entries(node: yaml.Node) -> Iterator[tuple[str, int, yaml.Node]]:
    """Key or index, 0-based line and value of the entries of a mapping or sequence."""
    if isinstance(node, yaml.MappingNode):
        named = (entry for entry in node.value if entry[0].tag != f"{_TAG}merge")
        yield from ((name.value, name.start_mark.line, value) for name, value in named)
    elif isinstance(node, yaml.SequenceNode):
        yield from ((str(index), entry.start_mark.line, entry) for index, entry in enumerate(node.value))
