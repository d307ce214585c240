"""What is wrong in a pipeline file or a component file, with its place."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from azdistill.contracts import findings as contracts
from azdistill.contracts.findings import Severity as Severity

Scope = Literal["everywhere", "azure", "local"]
"""Whom it is about: everyone, Azure ML alone (no compute named), or the local engine alone (a sweep)."""


@dataclass(frozen=True)
class Finding(contracts.Finding):
    """One finding, and whom it is about."""

    scope: Scope = "everywhere"


def suggestion(name: str, known: Iterable[str]) -> str:
    """`did you mean 'rows'?`, or what there is to choose from."""
    choice = sorted(known)
    close = get_close_matches(name, choice, 1)
    return f"did you mean {close[0]!r}?" if close else f"it has {', '.join(choice) or 'none'}"
