"""Summarization: a summary is correct when its ROUGE-L with the reference is high enough."""

from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, references, required
from azdistill.tasks.rouge import rouge
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, without_reasoning

# ROUGE-L F1 of a correct summary. Published systems reach it against human references.
THRESHOLD = 0.3


def case(record: Mapping[str, Any]) -> Case:
    """Fields: document, text or article, and summary or highlights."""
    document = required(record, "document", "text", "article")
    return Case(ask(f"Summarize this text:\n\n{document}"), references(record, "summary", "highlights"))


def answer(text: str) -> str | None:
    return normalize(without_reasoning(text)) or None


def correct(answer: str, reference: str) -> bool:
    return rouge(answer, (reference,))["rougeL"] >= THRESHOLD
