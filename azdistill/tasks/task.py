"""The interface of a task: how its rows become prompts, how answers are extracted, and when they are correct."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from azdistill.contracts.rows import Gold, Message


@dataclass(frozen=True)
class Case:
    """A conversation that ends with a user turn, and its reference answer where it has one.

    `gold` is a tuple for a row with several right answers. `weight` multiplies the loss of the training row.
    """

    messages: tuple[Message, ...]
    gold: Gold | None
    weight: float = 1.0


class BadRow(ValueError):
    """Raised for a row that cannot be used: `reason` is a short code for counting, `detail` describes the error."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # both are arguments, so that it can be pickled
        self.reason, self.detail = reason, detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class Task(Protocol):
    """A task type. Modules of this package and users' task files implement it with functions."""

    def case(self, record: Mapping[str, Any], /) -> Case:
        """The prompt and reference of a row in the task's own fields. Raises BadRow."""

    def answer(self, text: str, /) -> str | None:
        """The answer in a model's text, in the form that answers are compared in; None without a valid answer."""

    def correct(self, answer: str, reference: str, /) -> bool:
        """True if an answer is correct. Both texts are results of `answer`."""


def valid_answers(task: Task, texts: Iterable[str]) -> list[str]:
    """The answers that a task extracts from texts, such as references. A text without a valid answer is left out."""
    return [answer for text in texts if (answer := task.answer(text)) is not None]
