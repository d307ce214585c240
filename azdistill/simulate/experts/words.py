"""What the rehearsal experts read a conversation with. They know nothing: an answer only has the right form."""

import re
from collections.abc import Sequence

from azdistill.contracts.rows import Message


def asked(messages: Sequence[Message]) -> str:
    """The last turn, which is the user's in any valid conversation."""
    return messages[-1].content


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
