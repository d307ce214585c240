"""Summarization: a summary is correct when its ROUGE-L with the reference is high enough."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, without_reasoning

# ROUGE-L F1 of a correct summary. Published systems reach it against human references.
THRESHOLD = 0.3

_WORD = re.compile(r"\w+")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: document, text or article, and summary or highlights."""
    document = required(record, "document", "text", "article")
    return Case(ask(f"Summarize this text:\n\n{document}"), optional(record, "summary", "highlights"))


def answer(text: str) -> str | None:
    return normalize(without_reasoning(text)) or None


def correct(answer: str, reference: str) -> bool:
    return rouge_l(answer, reference) >= THRESHOLD


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words, 0 to 1. Source: Lin, ROUGE (2004), without stemming."""
    words, expected = _WORD.findall(answer.casefold()), _WORD.findall(reference.casefold())
    if not words and not expected:
        return 0.0
    return 2 * common_subsequence(words, expected) / (len(words) + len(expected))


def common_subsequence(words: Sequence[str], expected: Sequence[str]) -> int:
    """Length of the longest common subsequence. A row of the table is the bits of one integer. Source: Hyyrö (2004)."""
    positions: dict[str, int] = {}
    for position, word in enumerate(words):
        positions[word] = positions.get(word, 0) | 1 << position
    row = full = (1 << len(words)) - 1
    for word in expected:
        matched = row & positions.get(word, 0)
        row = (row + matched | row - matched) & full
    return len(words) - row.bit_count()
