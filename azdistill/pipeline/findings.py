"""What is wrong in a pipeline file or a component file, with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]

Scope = Literal["everywhere", "azure", "local"]
"""Who refuses: everyone, Azure ML alone (no compute named), or the local engine alone (a sweep)."""


@dataclass(frozen=True)
class Finding:
    """One finding. `text` begins with the field and its value; `str()` puts file and line before it."""

    severity: Severity
    file: Path
    line: int
    field: str
    text: str
    scope: Scope = "everywhere"

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        return f"{place}: {'warning: ' if self.severity == 'warning' else ''}{self.text}"


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'rows'?`, or what there is to choose from."""
    choice = sorted(known)
    close = get_close_matches(name, choice, 1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(choice) or 'none'}"
