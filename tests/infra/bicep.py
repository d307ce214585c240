"""Read Bicep files as data, with tree-sitter: no Bicep compiler can be installed for the tests."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

INFRA = Path(__file__).parents[2] / "infra"
BICEP_FILES = sorted(INFRA.rglob("*.bicep"))
PARAMETER_FILES = sorted(INFRA.glob("*.bicepparam"))

_PARSER = Parser(Language(tree_sitter_bicep.language()))
COMMENTS = ("comment", "diagnostic_comment")


class Expression(str):
    """The text of an expression that is no literal."""


@dataclass(frozen=True)
class Parameter:
    """A declared parameter. `value` is the default, and None for a required one."""

    type: str
    is_required: bool
    value: Any
    allowed: tuple[Any, ...]


@dataclass(frozen=True)
class Resource:
    """A resource or module. `target` is the type with its version, or the path of the module's file.

    `condition` and `loop` are texts, empty without one.
    """

    symbol: str
    target: str
    is_existing: bool
    body: Mapping[str, Any]
    condition: str
    loop: str


@dataclass(frozen=True)
class BicepFile:
    """Declarations of a file, by name."""

    path: Path
    text: str
    params: Mapping[str, Parameter]
    variables: Mapping[str, Any]
    outputs: Mapping[str, str]
    resources: tuple[Resource, ...]
    modules: tuple[Resource, ...]

    def resource(self, symbol: str) -> Mapping[str, Any]:
        """The body of a resource or module."""
        (body,) = (item.body for item in (*self.resources, *self.modules) if item.symbol == symbol)
        return body


def syntax_errors(path: Path) -> list[str]:
    """The lines that are not Bicep."""
    root = _PARSER.parse(path.read_bytes()).root_node
    return [f"{path.name}:{node.start_point[0] + 1}: {_text(node)[:60]}" for node in _errors(root)]


def _errors(node: Node) -> Iterator[Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        yield from _errors(child)


def used_names(path: Path) -> tuple[set[str], set[str]]:
    """Names that the expressions of a file refer to, without those of loops, and the functions that they call."""
    names: set[str] = set()
    functions: set[str] = set()
    _collect(_PARSER.parse(path.read_bytes()).root_node, frozenset(), names, functions)
    return names, functions


def _collect(node: Node, loops: frozenset[str], names: set[str], functions: set[str]) -> None:
    if node.type in ("decorators", "type", "target_scope_assignment"):
        return
    children = node.named_children
    if node.type == "identifier":
        names.update({_text(node)} - loops)
        return
    if node.type == "for_statement":
        variables = children[0]
        inside = loops | set(re.findall(r"\w+", _text(variables)))
        for child in children[1:]:
            _collect(child, inside, names, functions)
        return
    if node.type == "call_expression":
        functions.add(_text(children[0]))
        children = children[1:]
    elif node.type.endswith("_declaration") or node.type == "object_property":
        children = children[1:]
    elif node.type == "member_expression":
        children = children[:1]
    for child in children:
        _collect(child, loops, names, functions)


@functools.cache
def read(name: str) -> BicepFile:
    """A file of infra/ by its path there."""
    path = INFRA / name
    text = path.read_text(encoding="utf-8")
    return _file(path, text)


@functools.cache
def read_parameters(name: str) -> Mapping[str, Any]:
    """The values of a .bicepparam file. tree-sitter knows no such files: their parameters are read as variables."""
    text = (INFRA / name).read_text(encoding="utf-8")
    text = re.sub(r"^using .*$", "", text, flags=re.MULTILINE)
    return _file(INFRA / name, re.sub(r"^param ", "var ", text, flags=re.MULTILINE)).variables


def _file(path: Path, text: str) -> BicepFile:
    params, variables, outputs = {}, {}, {}
    resources, modules = [], []
    allowed: tuple[Any, ...] = ()
    for node in _PARSER.parse(text.encode()).root_node.named_children:
        name = _text(node.named_children[0]) if node.named_children else ""
        match node.type:
            case "decorators":
                allowed = _allowed(node)
                continue
            case "parameter_declaration":
                params[name] = _parameter(node, allowed)
            case "variable_declaration":
                variables[name] = value(node.named_children[1])
            case "output_declaration":
                outputs[name] = _text(node.named_children[2])
            case "resource_declaration":
                resources.append(_resource(node))
            case "module_declaration":
                modules.append(_resource(node))
        allowed = ()
    return BicepFile(path, text, params, variables, outputs, tuple(resources), tuple(modules))


def _allowed(decorators: Node) -> tuple[Any, ...]:
    for call in (node.named_children[0] for node in decorators.named_children):
        function, arguments = call.child_by_field_name("function"), call.child_by_field_name("arguments")
        if function and arguments and _text(function) == "allowed":
            return tuple(value(arguments.named_children[0]))
    return ()


def _parameter(node: Node, allowed: tuple[Any, ...]) -> Parameter:
    _, declared, *default = [child for child in node.named_children if child.type not in COMMENTS]
    return Parameter(_text(declared), not default, value(default[0]) if default else None, allowed)


def _resource(node: Node) -> Resource:
    name, target, body = [child for child in node.named_children if child.type not in COMMENTS]
    loop = condition = ""
    if body.type == "for_statement":
        inner = body.child_by_field_name("body")
        assert inner
        loop = _text(body)[: inner.start_byte - body.start_byte].strip()
        body = inner
    if body.type == "if_statement":
        test, body = body.named_children
        condition = _text(test)
    is_existing = any(child.type == "existing" for child in node.children)
    return Resource(_text(name), value(target), is_existing, value(body), condition, loop)


def value(node: Node) -> Any:
    """A literal as Python's value, an object as dict, the body of a loop as a list of one, anything else as text."""
    children = [child for child in node.named_children if child.type not in COMMENTS]
    match node.type:
        case "object":
            return {_key(child.named_children[0]): value(child.named_children[-1]) for child in children}
        case "array":
            return [value(child) for child in children]
        case "for_statement":
            body = node.child_by_field_name("body")
            return [value(body)] if body else []
        case "string" if not any(child.type == "interpolation" for child in children):
            return _text(node)[1:-1].replace("\\'", "'")
        case "number":
            return int(_text(node))
        case "boolean":
            return _text(node) == "true"
        case "null":
            return None
        case "parenthesized_expression":
            return value(children[0])
    return Expression(_text(node))


def _key(node: Node) -> str:
    return _text(node).strip("'")


def _text(node: Node) -> str:
    return (node.text or b"").decode()
