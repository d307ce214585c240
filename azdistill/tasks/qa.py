"""Question answering with short answers, with or without a passage to read."""

import re
import string
from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import as_text, ask, optional, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import spoken, squeezed, stated

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def case(record: Mapping[str, Any]) -> Case:
    """Fields: question, context where there is one, and answer, or answers as SQuAD has them (the first counts)."""
    question, context = required(record, "question"), optional(record, "context", "passage")
    passage = "" if context is None else f"{context}\n\n"
    return Case(ask(f"{passage}{question}\nAnswer with as few words as possible."), _gold(record))


def _gold(record: Mapping[str, Any]) -> str | None:
    answers = record.get("answers")
    if isinstance(answers, dict):
        answers = answers.get("text")
    if isinstance(answers, list):
        return as_text("answers", answers[0]) if answers else None
    return optional(record, "answer", "answers")


def answer(text: str) -> str | None:
    """Normalised as SQuAD's evaluation does: no case, punctuation or articles. "A" alone is an option, no article."""
    said = spoken(text)
    plain = squeezed(stated(said) or said).translate(_NO_PUNCTUATION)
    return squeezed(_ARTICLES.sub(" ", plain)) or squeezed(plain) or None


def correct(answer: str, reference: str) -> bool:
    return answer == reference
