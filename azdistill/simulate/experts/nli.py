"""Expert for natural language inference: counts shared words and looks for a negation."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import last_turn, words
from azdistill.tasks.nli import LABELS

NEGATIONS = frozenset({"no", "not", "never", "nobody", "nothing", "none", "without"})


def answer(messages: Sequence[Message]) -> str:
    return LABELS[_label(last_turn(messages))]


def wrong_answer(messages: Sequence[Message]) -> str:
    return LABELS[(_label(last_turn(messages)) + 1) % len(LABELS)]


def _label(text: str) -> int:
    premise, _, rest = text.casefold().partition("hypothesis")
    hypothesis = words(rest.partition("\n")[0])
    if NEGATIONS & set(hypothesis):
        return LABELS.index("contradiction")
    shared = sum(word in premise for word in hypothesis)
    return LABELS.index("entailment" if 2 * shared > len(hypothesis) else "neutral")
