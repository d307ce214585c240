"""The rehearsal expert of questions: its answer is the longest word that was said. It knows nothing."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import asked, words

ARTICLES = ("an", "the")


def answer(messages: Sequence[Message]) -> str:
    return _by_length(messages)[-1]


def wrong_answer(messages: Sequence[Message]) -> str:
    return _by_length(messages)[0]


def _by_length(messages: Sequence[Message]) -> list[str]:
    """Of all but the last line, which says how to answer. Shortest first, without articles and single letters,
    of which SQuAD's normalisation leaves nothing."""
    said = asked(messages).rpartition("\n")[0] or asked(messages)
    long = (word for word in words(said) if len(word.strip("_")) > 1)
    return sorted((word for word in long if word.casefold() not in ARTICLES), key=len) or ["unknown"]
