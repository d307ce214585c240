"""What a task type is: how its rows become a conversation, what an answer says, and when it is right."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from azdistill.contracts.rows import Message


@dataclass(frozen=True)
class Case:
    """A conversation that waits for its answer, and the reference answer where there is one."""

    messages: tuple[Message, ...]
    gold: str | None


class BadRow(ValueError):
    """A row that can't be used. It is data: `reason` is a short code for counting, `detail` what was seen."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Task(Protocol):
    """One task type; each module of this package but the shared ones is one."""

    def case(self, record: Mapping[str, Any], /) -> Case:
        """The conversation that a row of the task's natural fields asks. Raises BadRow."""

    def answer(self, text: str, /) -> str | None:
        """What a model's text says, in the form that answers are compared in; None when it says nothing."""

    def correct(self, answer: str, reference: str, /) -> bool:
        """Whether two answers, both as `answer` returns them, say the same."""
