"""Natural language inference: does the premise entail the hypothesis?"""

import re
from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import BadRow, Case
from azdistill.tasks.texts import stated_answer, without_reasoning

# In the order of the numbers in SNLI and MultiNLI.
LABELS = ("entailment", "neutral", "contradiction")

# Labels in those data sets of rows whose annotators did not agree.
NO_LABEL = frozenset({"-", "-1"})

_LABEL = re.compile(r"(\b(?:not|no|isn't)\s+(?:an?\s+)?)?\b(entail|neutral|contradict)\w*", re.IGNORECASE)
_LABEL_OF_STEM = {label[:6]: label for label in LABELS}


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
    gold = LABELS[int(label)] if label in {"0", "1", "2"} else answer(label)
    if gold is None:
        raise BadRow("unknown_label", f"label {label!r} is none of {', '.join(LABELS)}, 0, 1, 2")
    return gold


def answer(text: str) -> str | None:
    """The only label in the text; when the text has several, the label that it states as its answer."""
    plain = without_reasoning(text)
    return _only_label(plain) or _only_label(stated_answer(plain) or "")


def _only_label(text: str) -> str | None:
    labels = {_LABEL_OF_STEM[stem.lower()[:6]] for negated, stem in _LABEL.findall(text) if not negated}
    return labels.pop() if len(labels) == 1 else None


def correct(answer: str, reference: str) -> bool:
    return answer == reference
