"""A native job during its conversion: the values of our job, the origin of each, and the differences."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from azdistill.contracts.problems import FieldPath, Problem, dotted, format_number, may_be_secret
from azdistill.job.shorthand import Values

# The native field of differences that belong to no other field.
START: FieldPath = ("type",)


class Draft:
    """The job that a native file becomes.

    `values` is a job without short form and with one teacher. `notes` are warnings about every difference, at fields
    of the native file.
    """

    def __init__(self) -> None:
        self.values: Values = {"teacher": {"teachers": [{}]}}
        self.notes: list[Problem] = []
        self._origins: dict[FieldPath, FieldPath] = {}

    def put(self, field: FieldPath, value: Any, origin: FieldPath) -> None:
        """Set a field of our job to the value of the native field `origin`."""
        self._origins[field] = origin
        *parents, name = field
        section: Any = self.values
        for parent in parents:
            section = section[parent] if isinstance(parent, int) else section.setdefault(parent, {})
        section[name] = value

    def change(self, field: FieldPath, value: Any, origin: FieldPath, native: Any, why: str) -> None:
        """Set a field to another value than the native one, and note why."""
        self.put(field, value, origin)
        self.note(origin, f"becomes {dotted(field)}{_shown(field, value)}; {why}", native)

    def assume(self, field: FieldPath, value: Any, origin: FieldPath, why: str) -> None:
        """Set a field to Azure's default for an absent native field, and note that."""
        self.put(field, value, origin)
        self.note(origin, f"not set; {dotted(field)}{_shown(field, value)} is used: {why}")

    def drop(self, origin: FieldPath, native: Any, why: str) -> None:
        """Note that a native field is dropped, if it has a value."""
        if native is not None:
            self.note(origin, f"dropped; {why}", native)

    def note(self, origin: FieldPath, message: str, native: Any = None) -> None:
        shown = native if isinstance(native, (str, int, float)) else None
        self.notes.append(
            Problem(code="native_difference", message=message, severity="warning", field=origin, value=shown)
        )

    def at_origins(self, problems: Iterable[Problem]) -> list[Problem]:
        """Problems of our job, reported at the native fields that the values came from."""
        return [self._at_origin(problem) for problem in problems]

    def _at_origin(self, problem: Problem) -> Problem:
        about = dotted(problem.field) + _shown(problem.field, problem.value)
        return replace(problem, field=self._origin(problem.field), value=None, message=f"{about}: {problem.message}")

    def _origin(self, field: FieldPath) -> FieldPath:
        """The origin of a field, or of the field that has the longest common path with it."""
        nearest = max(self._origins, key=lambda known: _common(known, field))
        return self._origins[nearest] if _common(nearest, field) else START


def _common(known: FieldPath, field: FieldPath) -> int:
    """Number of leading keys that two paths have in common."""
    pairs = enumerate(zip(known, field, strict=False))
    return next((count for count, (first, second) in pairs if first != second), min(len(known), len(field)))


def _shown(field: FieldPath, value: Any) -> str:
    """`=value` for a scalar that is no secret."""
    if value is None or isinstance(value, (dict, list)) or may_be_secret(dotted(field), value):
        return ""
    return f"={format_number(value) if isinstance(value, float) else repr(value)}"
