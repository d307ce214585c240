"""One type for everything that is wrong with what a user provided.

Checks produce `Problem` objects; the command line, JSON output and CI annotations render them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, TypedDict

FieldPath = tuple[str | int, ...]
"""Path of a field in a document: `("teacher", "teachers", 0, "model")`."""

Severity = Literal["error", "warning"]

Scope = Literal["everywhere", "azure", "local"]
"""Where a problem applies: everywhere, on Azure ML only (no compute is set), or in the local engine only (a sweep)."""


class _Missing:
    """The type of `MISSING`."""

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""`Problem.value` where there is no value to show: the field is absent, long, or may hold a secret."""

LONGEST_VALUE = 80


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something that is wrong, as data.

    `code` is stable and made for programs (`missing_field`). `message` says what is wrong and `fix` what to do, both
    without the place and the value. `subject` names what the problem is about where that is no field of a file
    (`teacher deepseek-v3`). `line` is 1-based; 0 means the file as a whole. `command` is a shell line that fixes it.
    A `value` is printed, so whoever creates a problem leaves out values that may be secret.
    """

    code: str
    message: str
    fix: str = ""
    severity: Severity = "error"
    file: Path | None = None
    line: int = 0
    field: FieldPath = ()
    value: Any = MISSING
    subject: str = ""
    command: str = ""
    scope: Scope = "everywhere"

    def at(self, file: Path, line: int = 0) -> "Problem":
        """The same problem in a line of a file."""
        return replace(self, file=file, line=line)

    @property
    def location(self) -> str:
        """`job.yaml:12`, empty without a file."""
        if self.file is None:
            return ""
        return f"{self.file}:{self.line}" if self.line else str(self.file)

    @property
    def text(self) -> str:
        """Everything but the location: `training.learning_rate=0.2: must be at most 0.01; did you mean 2e-5?`."""
        advice = ": ".join(filter(None, (self.fix, self.command)))
        about = ": ".join(filter(None, (self.subject, self._field_and_value(), self.message)))
        return f"{about}; {advice}" if advice else about

    def _field_and_value(self) -> str:
        name = dotted(self.field)
        return name if self.value is MISSING or not name else f"{name}={shorten(self.value)}"

    def __str__(self) -> str:
        warning = "warning" if self.severity == "warning" else ""
        return ": ".join(filter(None, (self.location, warning, self.text)))


class ProblemFields(TypedDict, total=False):
    """The optional fields of a problem, as keyword arguments of an error."""

    code: str
    fix: str
    file: Path | None
    line: int
    field: FieldPath
    value: Any
    subject: str
    command: str


def dotted(field: FieldPath) -> str:
    """`teacher.teachers.0.model` for a field path."""
    return ".".join(str(key) for key in field)


def shorten(value: Any) -> str:
    """`repr` of a value for a message, at most `LONGEST_VALUE` characters; floats as people write them (2e-5)."""
    text = format_number(value) if isinstance(value, float) else repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def format_number(value: float) -> str:
    """Shortest usual form of a number: `2e-5`, `0.01`, `3`."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e+")


def has_errors(problems: Iterable[Problem]) -> bool:
    """Whether any of the problems is an error."""
    return any(problem.severity == "error" for problem in problems)


def suggest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'rows'?`, or the list of known names when none is close."""
    choices = sorted(known)
    close = get_close_matches(name, choices, 1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(choices) or 'none'}"
