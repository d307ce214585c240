"""Expert for conversations: repeats the last turn."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import last_turn, words

MOST_WORDS = 12


def answer(messages: Sequence[Message]) -> str:
    return f"You said: {' '.join(words(last_turn(messages))[:MOST_WORDS])}."


def wrong_answer(messages: Sequence[Message]) -> str:
    return f"You did not say: {' '.join(words(last_turn(messages))[-MOST_WORDS:])}."
