"""The rehearsal expert of summaries: the first words of the text are its summary. It knows nothing."""

from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import asked

MOST_WORDS = 30


def answer(messages: Sequence[Message]) -> str:
    return " ".join(_document(messages)[:MOST_WORDS])


def wrong_answer(messages: Sequence[Message]) -> str:
    return " ".join(_document(messages)[-MOST_WORDS:])


def _document(messages: Sequence[Message]) -> list[str]:
    """Words of the text that follows the request, or of all that was said where nothing follows."""
    request, _, document = asked(messages).partition("\n\n")
    return (document or request).split()
