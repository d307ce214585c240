"""Functions with which the experts read a conversation."""

import re
from collections.abc import Sequence

from azdistill.contracts.rows import Message


def last_turn(messages: Sequence[Message]) -> str:
    """Content of the last turn, which is a user turn in a valid conversation."""
    return messages[-1].content


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
