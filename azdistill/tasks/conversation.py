"""Conversation: the last turn counts, as a whole."""

from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import spoken, squeezed


def case(record: Mapping[str, Any]) -> Case:
    """Fields: prompt, and response or completion."""
    return Case(ask(required(record, "prompt")), optional(record, "response", "completion"))


def answer(text: str) -> str | None:
    return squeezed(spoken(text)) or None


def correct(answer: str, reference: str) -> bool:
    """Exact match, without regard to case and white space."""
    return answer == reference
