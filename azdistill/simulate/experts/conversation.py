"""The rehearsal expert of conversations: it says back what it was told. It knows nothing."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import asked, words

MOST_WORDS = 12


def answer(messages: Sequence[Message]) -> str:
    return f"You said: {' '.join(words(asked(messages))[:MOST_WORDS])}."


def wrong_answer(messages: Sequence[Message]) -> str:
    return f"You did not say: {' '.join(words(asked(messages))[-MOST_WORDS:])}."
