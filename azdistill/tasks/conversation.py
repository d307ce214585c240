"""Conversation: the complete last turn is compared."""

from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, references, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, without_reasoning


def case(record: Mapping[str, Any]) -> Case:
    """Fields: prompt, and response or completion."""
    return Case(ask(required(record, "prompt")), references(record, "response", "completion"))


def answer(text: str) -> str | None:
    return normalize(without_reasoning(text)) or None


def correct(answer: str, reference: str) -> bool:
    """Exact match, except for case and white space."""
    return answer == reference
