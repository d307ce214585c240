"""A custom task: the prompt of a row, the answer in a model's text, and the check of an answer.

Import only the standard library, azdistill.tasks and azdistill.contracts.rows: only this file is copied to Azure ML.
"""

from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case

TEAMS = ("billing", "delivery", "returns")


def case(record: Mapping[str, Any]) -> Case:
    """The prompt of a row as a conversation, and its reference answer if it has one."""
    question = f"Which team does this ticket go to: {', '.join(TEAMS)}?\n\n{required(record, 'ticket')}"
    return Case(ask(question), optional(record, "team"))


def answer(text: str) -> str | None:
    """The team in a model's text. None if the text names no team or several."""
    named = [team for team in TEAMS if team in text.casefold()]
    return named[0] if len(named) == 1 else None


def correct(answer: str, reference: str) -> bool:
    """True if two answers, as `answer` returns them, are the same."""
    return answer == reference
