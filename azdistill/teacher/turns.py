"""A row on its way through the turns that the teacher answers: the last one, or each in its order.

With `turns: all` the teacher has the conversation with the dataset's user turns: its own earlier replies are in
the history, not the dataset's. So what is asked next is known once the turn before is answered. A test row keeps
the dataset's history, as all models have to answer the same one.
"""

from collections.abc import Callable, Iterable, Sequence

from azdistill.contracts.rows import Message, Prompt
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.questions import Question, question
from azdistill.teacher.replies import Answer, Refusal
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.tally import USEFUL

Messages = tuple[Message, ...]


class Row:
    """One prompt: the question that it waits for, and its end once there is one."""

    def __init__(self, prompt: Prompt, ask: Callable[[Messages], Question], *, every_turn: bool) -> None:
        self.prompt, self._ask = prompt, ask
        self.turns = 1 + every_turn * sum(message.role == "assistant" for message in prompt.messages)
        self.end: Answer | Refusal | None = None
        self._replies: list[str] = []
        self._go_on()

    def hear(self, outcome: Answer | Refusal) -> None:
        """What became of the question: the next one, or the end. A reply that is no whole answer ends the row, as
        what comes after it would be built on it."""
        turn = len(self._replies) + 1
        if isinstance(outcome, Refusal):
            self.end = Refusal(outcome.reason, self._at(turn, outcome.detail))
        elif turn == self.turns:
            self.end = outcome
        elif outcome.finish_reason != USEFUL or not outcome.completion.strip():
            self.end = Refusal("unusable_turn", self._at(turn, _unusable(outcome)))
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


def rows_of(prompts: Iterable[Prompt], config: TeacherConfig, endpoint: Endpoint) -> list[Row]:
    """Each prompt at its first question."""

    def ask(messages: Messages) -> Question:
        return question(messages, config, endpoint)

    return [Row(p, ask, every_turn=config.turns == "all" and p.split != "test") for p in prompts]


def advance(rows: Iterable[Row], store: ResponseStore) -> list[StoredAnswer]:
    """Take each row as far as the store has answers, turn by turn; returns the records."""
    records: dict[str, StoredAnswer] = {}
    waiting = list(rows)
    while waiting:
        found = store.find({row.question.key for row in waiting} - records.keys())
        records |= {key: found.stored(key) for key in found}
        moved = [row for row in waiting if row.question.key in records]
        for row in moved:
            row.hear(records[row.question.key].outcome)
        waiting = [row for row in moved if row.end is None]
    return list(records.values())
