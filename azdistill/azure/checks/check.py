"""One finding, and the looking up that most of them start with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from azdistill.azure.problems import asking
from azdistill.contracts.errors import AzdistillError

State = Literal["ok", "wrong", "unknown"]
NONE_IN_WORKSPACE = "the workspace has none of that name"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `move` and `command` are what to do about it, in words and for a shell; empty where
    there is nothing."""

    what: str
    state: State
    detail: str
    move: str = ""
    command: str = ""

    def __str__(self) -> str:
        advice = ": ".join(filter(None, (self.move, self.command)))
        return f"{self.what}: {self.detail}" + (f"; {advice}" if advice else "")


def looked_up(
    what: str, get: Callable[[], Any], *missing: str, told: str = NONE_IN_WORKSPACE
) -> tuple[Any, Check | None]:
    """What is there, or the finding that it is not, with move and command."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with asking(what):
            try:
                return get(), None
            except ResourceNotFoundError:
                return None, Check(what, "wrong", told, *missing)
    except AzdistillError as problem:
        return None, Check(what, "unknown", str(problem))
