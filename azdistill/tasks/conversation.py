"""Conversation: the complete last turn is compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from azdistill.contracts.rows import Message
from azdistill.tasks.fields import ask, references, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, without_reasoning

# Names of public data sets, in the order in which they are looked for.
PROMPTS = ("prompt", "instruction", "question", "query", "problem", "input")
CONTEXTS = ("input", "context")
ANSWERS = ("response", "completion", "output", "answer", "answers", "chosen", "target", "solution")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: a prompt, such as `prompt`, `question` or `instruction` (with `input` or `context`), and an answer, such
    as `response`, `completion` or `output`. A field `system` is the system turn."""
    prompts = _filled(record, PROMPTS)
    parts = [required(record, *(prompts or PROMPTS))]
    if prompts[0] == "instruction" and (contexts := _filled(record, CONTEXTS)):
        parts.append(required(record, *contexts))
    system = [Message(role="system", content=required(record, "system"))] if _filled(record, ("system",)) else []
    return Case((*system, *ask("\n\n".join(parts))), references(record, *_filled(record, ANSWERS)))


def _filled(record: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """The fields `names` of the row that have a value. The input of Alpaca's rows is often an empty text."""
    return [name for name in names if name in record and record[name] not in (None, "")]


def answer(text: str) -> str | None:
    return normalize(without_reasoning(text)) or None


def correct(answer: str, reference: str) -> bool:
    """Exact match, except for case and white space."""
    return answer == reference
