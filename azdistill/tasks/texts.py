"""Helpers of tasks for reading answers."""

import re

_STATED = re.compile(r"(?:\b(?:answer|label)\b\W{0,4}(?:is\b|:|=)|####)\W{0,2}?[ \t]*(\S[^\n]*)", re.IGNORECASE)


def without_reasoning(text: str) -> str:
    """The answer without a reasoning trace in <think> before it; empty when the trace never ends."""
    if "</think>" in text:
        return text.rpartition("</think>")[2].strip()
    return "" if text.lstrip().startswith("<think>") else text.strip()


def stated_answer(text: str) -> str | None:
    """The rest of the last line that contains "answer: ...", "the answer is ..." or "#### ..."."""
    answers = _STATED.findall(text)
    return str(answers[-1]).strip() if answers else None


def normalize(text: str) -> str:
    """Case-folded, with one space for any white space."""
    return " ".join(text.casefold().split())
