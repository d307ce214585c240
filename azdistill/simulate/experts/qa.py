"""Expert for questions: answers with the longest word of the prompt."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import last_turn, words

ARTICLES = ("an", "the")


def answer(messages: Sequence[Message]) -> str:
    return _by_length(messages)[-1]


def wrong_answer(messages: Sequence[Message]) -> str:
    return _by_length(messages)[0]


def _by_length(messages: Sequence[Message]) -> list[str]:
    """Words of the prompt without its last line, the instruction; shortest first.

    Without articles and single letters, because SQuAD's normalisation removes them.
    """
    text = last_turn(messages).rpartition("\n")[0] or last_turn(messages)
    candidates = (word for word in words(text) if len(word.strip("_")) > 1)
    return sorted((word for word in candidates if word.casefold() not in ARTICLES), key=len) or ["unknown"]
