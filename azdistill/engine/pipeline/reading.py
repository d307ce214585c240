"""A YAML file read part by part, with findings where something is wrong and never an exception."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from azdistill.engine.problems import FieldPath as Place
from azdistill.engine.problems import Problem, Scope, Severity, suggest
from azdistill.engine.yaml_document import Document

_AS_WRITTEN = object()


@dataclass(frozen=True)
class Part:
    """A part of a file: its place, its value (None when there is none), and where findings about it go."""

    document: Document
    found: list[Problem]
    place: Place = ()

    @cached_property
    def value(self) -> Any:
        value: Any = self.document.value
        for key in self.place:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def at(self, *keys: str) -> "Part":
        return replace(self, place=(*self.place, *keys))

    def mapping(self) -> Mapping[str, Any]:
        """The value, which has to be a mapping; nothing is an empty one."""
        if self.value is not None and not isinstance(self.value, Mapping):
            self.error("expected a mapping of names to values")
        return self.value if isinstance(self.value, Mapping) else {}

    def entries(self) -> list[tuple[str, "Part"]]:
        return [(name, self.at(name)) for name in self.mapping()]

    def texts(self) -> list[str]:
        """The value as a list of texts; nothing is an empty one."""
        if self.value is not None and not isinstance(self.value, list):
            self.error("expected a list")
        return [str(one) for one in self.value] if isinstance(self.value, list) else []

    def text(self) -> str | None:
        """The value as text, None when there is none."""
        if isinstance(self.value, (Mapping, list)):
            self.error("expected text")
            return None
        return None if self.value is None else str(self.value)

    def error(self, text: str, scope: Scope = "everywhere", value: Any = _AS_WRITTEN) -> None:
        self._add("error", text, scope, value)

    def warning(self, text: str, value: Any = _AS_WRITTEN, scope: Scope = "everywhere") -> None:
        self._add("warning", text, scope, value)

    def unknown_fields(self, known: Iterable[str]) -> None:
        """Azure ML ignores a field it doesn't know, so a misspelt one has no effect: worth a warning."""
        for name in self.mapping():
            if name not in known:
                close = suggest(name, known)
                hint = f"; {close}" if close.startswith("did") else ""
                self.at(name).warning(f"unknown field, Azure ML ignores it{hint}", value=None)

    def _add(self, severity: Severity, text: str, scope: Scope, value: Any) -> None:
        problem = Problem(
            code="invalid_pipeline",
            message=text,
            severity=severity,
            field=self.place,
            value=self.value if value is _AS_WRITTEN else value,
            scope=scope,
        ).at(self.document.path, self.document.line(self.place))
        if problem not in self.found:
            self.found.append(problem)
