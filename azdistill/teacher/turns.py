"""A conversation with one teacher, through the turns that it answers: the last one, or each in its order.

With `turns: all` the teacher has the conversation with the dataset's user turns: its own earlier replies are in
the history, not the dataset's. So what is asked next is known once the turn before is answered. A test row keeps
the dataset's history, as all models have to answer the same one.
"""

from collections.abc import Callable, Sequence

from azdistill.contracts.rows import Message, Prompt
from azdistill.teacher.prompting import NO_TRACE
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.requests import Request
from azdistill.teacher.usage import is_useful

Messages = tuple[Message, ...]


def nothing(answer: Answer) -> None:
    """What an answer lacks of which nothing is asked: no label is made of it."""


class Talk:
    """One prompt and one teacher, for one sample: the question that waits, and the end once there is one.

    `teacher` is its place among the teachers. `lacks` tells what an answer lacks that was asked for, if anything.
    """

    def __init__(
        self,
        prompt: Prompt,
        teacher: int,
        sample: int,
        ask: Callable[[Messages], Request],
        *,
        every_turn: bool = False,
        lacks: Callable[[Answer], str | None] = nothing,
    ) -> None:
        self.prompt, self.teacher, self.sample, self._ask, self._lacks = prompt, teacher, sample, ask, lacks
        self.turns = 1 + every_turn * sum(message.role == "assistant" for message in prompt.messages)
        self.end: Answer | RowRejected | None = None
        self._replies: list[str] = []
        self._go_on()

    @property
    def is_whole(self) -> bool:
        """Whether it ended with an answer that may become a label."""
        return isinstance(self.end, Answer) and is_useful(self.end)

    def hear(self, outcome: Answer | RowRejected) -> None:
        """What became of the question: the next one, or the end. A reply that is no whole answer ends the talk, as
        what comes after it would be built on it."""
        turn = len(self._replies) + 1
        if isinstance(outcome, RowRejected):
            self.end = RowRejected(outcome.reason, self._at(turn, outcome.detail))
        elif is_useful(outcome) and (lacking := self._lacks(outcome)):
            self.end = RowRejected(NO_TRACE, self._at(turn, lacking))
        elif turn == self.turns:
            self.end = outcome
        elif not is_useful(outcome):
            self.end = RowRejected("unusable_turn", self._at(turn, _unusable(outcome)))
        else:
            self._replies.append(outcome.completion)
            self._go_on()

    def _go_on(self) -> None:
        self.messages = history(self.prompt.messages, self._replies) if self.turns > 1 else self.prompt.messages
        self.question = self._ask(self.messages)

    def _at(self, turn: int, detail: str) -> str:
        return detail if self.turns == 1 else f"turn {turn} of {self.turns}: {detail}"


def _unusable(answer: Answer) -> str:
    said = "a blank answer" if not answer.completion.strip() else "the answer is not whole"
    return f"{said} (finish_reason {answer.finish_reason!r}), so the turns after it were not asked"


def history(messages: Messages, replies: Sequence[str]) -> Messages:
    """The conversation up to the user turn after the last reply, with `replies` as its assistant turns."""
    turns: list[Message] = []
    rest = iter(replies)
    for message in messages:
        if message.role == "assistant":
            reply = next(rest, None)
            if reply is None:
                break
            message = Message(role="assistant", content=reply)
        turns.append(message)
    return tuple(turns)
