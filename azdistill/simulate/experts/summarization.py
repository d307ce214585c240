"""Expert for summaries: answers with the first words of the text."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import last_turn

MOST_WORDS = 30


def answer(messages: Sequence[Message]) -> str:
    return " ".join(_document(messages)[:MOST_WORDS])


def wrong_answer(messages: Sequence[Message]) -> str:
    return " ".join(_document(messages)[-MOST_WORDS:])


def _document(messages: Sequence[Message]) -> list[str]:
    """Words of the text after the request, or of the complete turn if it has no request."""
    request, _, document = last_turn(messages).partition("\n\n")
    return (document or request).split()
