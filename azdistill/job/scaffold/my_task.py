"""A task of your own: what a row asks, what an answer says, and when it is right.

It may import the standard library, azdistill.tasks and azdistill.contracts.rows: it travels alone.
"""

from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case

TEAMS = ("billing", "delivery", "returns")


def case(record: Mapping[str, Any]) -> Case:
    """The conversation that a row asks, and its right answer where it has one."""
    question = f"Which team does this ticket go to: {', '.join(TEAMS)}?\n\n{required(record, 'ticket')}"
    return Case(ask(question), optional(record, "team"))


def answer(text: str) -> str | None:
    """The team in a model's text; None when it names none or several."""
    named = [team for team in TEAMS if team in text.casefold()]
    return named[0] if len(named) == 1 else None


def correct(answer: str, reference: str) -> bool:
    """True if two answers, as `answer` returns them, are the same."""
    return answer == reference
