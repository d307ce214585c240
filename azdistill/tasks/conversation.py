"""Conversation: the complete last turn is compared."""

from collections.abc import Mapping
from typing import Any

from azdistill.contracts.rows import Message
from azdistill.tasks.fields import ask, optional, references, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, without_reasoning

# Names of public data sets, in the order in which they are looked for.
PROMPTS = ("prompt", "instruction", "question", "query", "problem", "input")
CONTEXTS = ("input", "context")
ANSWERS = ("response", "completion", "output", "answer", "answers", "chosen", "target", "solution")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: a prompt, such as `prompt`, `question` or `instruction` (with `input` or `context`), and an answer, such
    as `response`, `completion` or `output`. A field `system` is the system turn."""
    filled = {name: value for name, value in record.items() if value != ""}
    parts = [required(filled, *PROMPTS)]
    if "prompt" not in filled and "instruction" in filled and (context := optional(filled, *CONTEXTS)):
        parts.append(context)
    system = [Message(role="system", content=text)] if (text := optional(filled, "system")) else []
    return Case((*system, *ask("\n\n".join(parts))), references(filled, *ANSWERS))


def answer(text: str) -> str | None:
    return normalize(without_reasoning(text)) or None


def correct(answer: str, reference: str) -> bool:
    """Exact match, except for case and white space."""
    return answer == reference
