"""Natural language inference: does the premise entail the hypothesis?"""

import re
from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import BadRow, Case
from azdistill.tasks.texts import spoken, stated

LABELS = ("entailment", "neutral", "contradiction")
"""In the order of SNLI's and MultiNLI's numbers."""

NO_LABEL = frozenset({"-", "-1"})
"""How those data sets mark a row whose annotators did not agree."""

_LABEL = re.compile(r"(\b(?:not|no|isn't)\s+(?:an?\s+)?)?\b(entail|neutral|contradict)\w*", re.IGNORECASE)
_WHOLE = {label[:6]: label for label in LABELS}


def case(record: Mapping[str, Any]) -> Case:
    """Fields: premise, hypothesis, and label, as a word or as 0, 1 or 2."""
    premise = required(record, "premise", "sentence1")
    hypothesis = required(record, "hypothesis", "sentence2")
    return Case(ask(_question(premise, hypothesis)), _gold(optional(record, "label", "gold_label")))


def _question(premise: str, hypothesis: str) -> str:
    return (
        f"Premise: {premise}\nHypothesis: {hypothesis}\n"
        "Does the premise entail the hypothesis? Answer with one word: entailment, neutral or contradiction."
    )


def _gold(label: str | None) -> str | None:
    if label is None or label in NO_LABEL:
        return None
    found = LABELS[int(label)] if label in {"0", "1", "2"} else answer(label)
    if found is None:
        raise BadRow("unknown_label", f"label {label!r} is none of {', '.join(LABELS)}, 0, 1, 2")
    return found


def answer(text: str) -> str | None:
    """The one label that the text names; where it names several, the one it states as its answer."""
    said = spoken(text)
    return _only_label(said) or _only_label(stated(said) or "")


def _only_label(text: str) -> str | None:
    named = {_WHOLE[stem.lower()[:6]] for negated, stem in _LABEL.findall(text) if not negated}
    return named.pop() if len(named) == 1 else None


def correct(answer: str, reference: str) -> bool:
    return answer == reference
