"""Question answering with short answers, with or without a passage."""

import re
import string
from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import as_text, ask, optional, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, stated_answer, without_reasoning

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def case(record: Mapping[str, Any]) -> Case:
    """Fields: question, optionally context or passage, and answer, or answers as in SQuAD (the first one counts)."""
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
    """Normalized as in SQuAD: no case, punctuation or articles. A single "A" is an option, not an article."""
    answer = without_reasoning(text)
    plain = normalize(stated_answer(answer) or answer).translate(_NO_PUNCTUATION)
    return normalize(_ARTICLES.sub(" ", plain)) or normalize(plain) or None


def correct(answer: str, reference: str) -> bool:
    return answer == reference
