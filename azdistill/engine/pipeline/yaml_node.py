"""Read a YAML file node by node. A wrong value adds a problem to a list and never raises."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, Unpack

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.authorities import CLIENT_AND_ENGINE, refused_by
from azdistill.engine.pipeline.expressions import is_expression
from azdistill.engine.problems import (
    MAX_PROBLEMS,
    Authority,
    FieldPath,
    Problem,
    Scope,
    Severity,
    suggest,
    too_many_problems,
)
from azdistill.engine.yaml_document import AZURE_YAML, Document, read_document

# Maximum number of unknown fields that are listed. A file with more is probably of another kind.
MAX_UNKNOWN_FIELDS = 20


class _Fields(TypedDict, total=False):
    """Optional fields of a problem about a node."""

    value: Any
    command: str
    scope: Scope
    refused_by: tuple[Authority, ...]


def read_azure_document(path: Path, kind: str = "pipeline file") -> Document:
    """Read a file as Azure's client does. Raises PipelineError for one that the client cannot read either."""
    try:
        return read_document(path, PipelineError, kind, AZURE_YAML)
    except PipelineError as error:
        problems = [replace(problem, refused_by=CLIENT_AND_ENGINE) for problem in error.problems]
        raise PipelineError(problems=problems) from None


@dataclass(frozen=True)
class YamlNode:
    """The value at a field of a file, None where the field is absent. Problems about it go to `problems`."""

    document: Document
    problems: list[Problem]
    field: FieldPath = ()

    @cached_property
    def value(self) -> Any:
        value: Any = self.document.value
        for key in self.field:
            if isinstance(value, list) and isinstance(key, int):
                value = value[key]
            else:
                value = value.get(key) if isinstance(value, dict) else None
        return value

    def at(self, *keys: str | int) -> "YamlNode":
        return YamlNode(self.document, self.problems, (*self.field, *keys))

    def mapping(self) -> Mapping[str, Any]:
        """The value as a mapping, empty where it is absent. Another type is a problem."""
        if self.value is not None and not isinstance(self.value, dict):
            self.error("wrong_type", "must be a mapping of names to values")
        return self.value if isinstance(self.value, dict) else {}

    def entries(self) -> list[tuple[str, "YamlNode"]]:
        """Names and nodes of the value as a mapping."""
        return [(name, self.at(name)) for name in self.mapping()]

    def texts(self) -> list[str]:
        """The value as a list of texts, empty where it is absent. Another type is a problem."""
        if self.value is not None and not isinstance(self.value, list):
            self.error("wrong_type", "must be a list")
        return [str(entry) for entry in self.value] if isinstance(self.value, list) else []

    def text(self, **fields: Unpack[_Fields]) -> str | None:
        """The value as text, None where it is absent. A mapping or a list is a problem, with these fields."""
        if isinstance(self.value, (Mapping, list)):
            self.error("wrong_type", "must be text", **fields)
            return None
        return None if self.value is None else str(self.value)

    def error(self, code: str, message: str, fix: str = "", **fields: Unpack[_Fields]) -> None:
        """Add an error. `value` is shown instead of the node's own value; None shows no value.

        `refused_by` is needed where other authorities refuse it than most errors of this code.
        """
        self._add("error", code, message, fix, **fields)

    def warning(self, code: str, message: str, fix: str = "", **fields: Unpack[_Fields]) -> None:
        """Add a warning, with the arguments of `error`."""
        self._add("warning", code, message, fix, **fields)

    def suggest(self, name: str, known: Iterable[str]) -> str:
        """`did you mean 'rows'?`, as a fix of a problem. It takes time: empty where no more problem is listed."""
        return "" if len(self.problems) > MAX_PROBLEMS else suggest(name, known)

    def check_fields(self, known: Iterable[str], refused: bool = False) -> None:
        """Report unknown fields: a warning where Azure ML ignores them, an error where it refuses them."""
        unknown = [name for name in self.mapping() if name not in known]
        severity: Severity = "error" if refused else "warning"
        for name in unknown[:MAX_UNKNOWN_FIELDS]:
            hint = self.suggest(name, known)
            fix = hint if hint.startswith("did you mean") else "remove it"
            message = f"unknown field, which Azure ML {'refuses' if refused else 'ignores'}"
            self.at(name)._add(severity, "unknown_field", message, fix, value=None)
        if len(unknown) > MAX_UNKNOWN_FIELDS:
            message = f"{len(unknown) - MAX_UNKNOWN_FIELDS:,} more unknown fields"
            self._add(severity, "unknown_field", message, "check which kind of file this is", value=None)

    def _add(self, severity: Severity, code: str, message: str, fix: str, **fields: Unpack[_Fields]) -> None:
        if len(self.problems) >= MAX_PROBLEMS:
            self._add_unlisted(severity, fields.get("scope", "everywhere"))
            return
        scope = fields.get("scope", "everywhere")
        problem = Problem(
            code=code,
            message=message,
            fix=fix,
            severity=severity,
            file=self.document.path,
            line=self.document.line(self.field),
            field=self.field,
            value=fields.get("value", self.value),
            command=fields.get("command", ""),
            scope=scope,
            refused_by=fields.get("refused_by", refused_by(code, scope)) if severity == "error" else (),
        )
        if problem not in self.problems:
            self.problems.append(problem)

    def _add_unlisted(self, severity: Severity, scope: Scope) -> None:
        """Add the problem that there are more, once for each file, severity and scope. A file may have 100,000 more."""
        path = self.document.path
        unlisted = self.problems[MAX_PROBLEMS:]
        if not any((more.file, more.severity, more.scope) == (path, severity, scope) for more in unlisted):
            self.problems.append(replace(too_many_problems(path), severity=severity, scope=scope))


def is_unreplaced(node: YamlNode, fix: str) -> bool:
    """True if the value is a `${{ }}`, which only the service replaces: an error of a local run."""
    if not isinstance(node.value, str) or not is_expression(node.value):
        return False
    node.error("unsupported_locally", "only Azure ML replaces this expression", fix, scope="local")
    return True


def integer_of(node: YamlNode) -> int | None:
    """The integer that Azure's client reads, None for none: it takes text of digits, and cuts the fraction of a number,
    which is a warning."""
    value = node.value
    if isinstance(value, float) and math.isfinite(value):
        if not value.is_integer():
            node.warning("truncated", f"must be an integer, and Azure ML reads {int(value)}", f"write {int(value)}")
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d{1,15}\s*", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def has_unlisted_errors(problems: Sequence[Problem]) -> bool:
    """True if more errors were found than are listed: the rest of a file need not be checked."""
    return any(more.severity == "error" and more.scope == "everywhere" for more in problems[MAX_PROBLEMS:])
