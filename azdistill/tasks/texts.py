"""What several tasks read answers with."""

import re

_STATED = re.compile(r"(?:\b(?:answer|label)\b\W{0,4}(?:is\b|:|=)|####)\W{0,2}?[ \t]*(\S[^\n]*)", re.IGNORECASE)


def spoken(text: str) -> str:
    """The answer without the reasoning that some models put before it; empty when they never left it."""
    if "</think>" in text:
        return text.rpartition("</think>")[2].strip()
    return "" if text.lstrip().startswith("<think>") else text.strip()


def stated(text: str) -> str | None:
    """The rest of the last line that says "answer: ...", "the answer is ..." or "#### ..."."""
    found = _STATED.findall(text)
    return str(found[-1]).strip() if found else None


def squeezed(text: str) -> str:
    """Without regard to case, and one space for any white space."""
    return " ".join(text.casefold().split())
