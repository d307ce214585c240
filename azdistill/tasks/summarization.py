"""Summarization: a summary is right when it shares enough of the reference, in the reference's order."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import spoken, squeezed

ENOUGH = 0.3
"""ROUGE-L F1 from which two summaries say the same: where published systems lie against human references."""

_WORD = re.compile(r"\w+")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: document, text or article, and summary or highlights."""
    document = required(record, "document", "text", "article")
    return Case(ask(f"Summarize this text:\n\n{document}"), optional(record, "summary", "highlights"))


def answer(text: str) -> str | None:
    return squeezed(spoken(text)) or None


def correct(answer: str, reference: str) -> bool:
    return rouge_l(answer, reference) >= ENOUGH


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, 0 to 1. Source: Lin, ROUGE (2004), without stemming."""
    ours, theirs = _WORD.findall(answer.casefold()), _WORD.findall(reference.casefold())
    return 2 * common_subsequence(ours, theirs) / (len(ours) + len(theirs)) if ours or theirs else 0.0


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, a row of the table at a time as bits of one integer (Hyyrö, 2004)."""
    places: dict[str, int] = {}
    for position, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << position
    row = full = (1 << len(one)) - 1
    for word in other:
        matched = row & places.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(one) - row.bit_count()
