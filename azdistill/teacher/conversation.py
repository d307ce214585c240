"""One conversation with one teacher: its last turn, or each turn that the teacher answers, in order.

With `turns: all` the history holds the dataset's user turns and the teacher's own earlier replies. So the next request
is known once the turn before is answered. A test row keeps the dataset's history, as all models have to answer the
same one.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Message, Prompt
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.prompting import NO_TRACE, missing_reasoning
from azdistill.teacher.replies import Answer, Outcome, RowRejected
from azdistill.teacher.requests import Request, chat_request
from azdistill.teacher.usage import is_useful

Messages = tuple[Message, ...]
# Ask the teacher of an index. The number is that of the prompt: waiting requests are sent in this order.
Ask = Callable[[int, Request, int], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that ended: `messages` and `key` of its last request, and the outcome.

    `teacher` is an index into the teachers of the job.
    """

    prompt: Prompt
    teacher: int
    sample: int
    messages: Messages
    key: str
    outcome: Outcome

    @property
    def is_complete(self) -> bool:
        """True if it ended with an answer that may become a label."""
        return isinstance(self.outcome, Answer) and is_useful(self.outcome)


@dataclass(frozen=True)
class Converser:
    """Hold conversations with the teachers of a job."""

    config: RequestConfig
    endpoints: Sequence[Endpoint]
    ask: Ask

    async def converse(self, prompt: Prompt, number: int, teacher: int, sample: int = 0) -> Conversation:
        """Ask one teacher for every turn of a prompt, until the last answer or one that nothing can be built on."""
        replies: list[str] = []
        while True:
            messages = self._messages(prompt, replies)
            request = chat_request(messages, self.config, self.endpoints[teacher], sample)
            outcome = self._end(prompt, len(replies) + 1, await self.ask(teacher, request, number))
            if isinstance(outcome, str):
                replies.append(outcome)
            else:
                return Conversation(prompt, teacher, sample, messages, request.key, outcome)

    def first_request(self, prompt: Prompt, teacher: int) -> Request:
        return chat_request(self._messages(prompt, []), self.config, self.endpoints[teacher])

    def _messages(self, prompt: Prompt, replies: Sequence[str]) -> Messages:
        return history(prompt.messages, replies) if self._turns(prompt) > 1 else prompt.messages

    def _turns(self, prompt: Prompt) -> int:
        if self.config.turns == "last" or prompt.split == "test":
            return 1
        return 1 + sum(message.role == "assistant" for message in prompt.messages)

    def _end(self, prompt: Prompt, turn: int, outcome: Outcome) -> Outcome | str:
        """The outcome of the conversation, or the reply of a turn that another one follows."""
        turns = self._turns(prompt)
        at = f"turn {turn} of {turns}: " if turns > 1 else ""
        if isinstance(outcome, RowRejected):
            return RowRejected(outcome.reason, f"{at}{outcome.detail}")
        if not is_useful(outcome):
            return outcome if turn == turns else RowRejected("unusable_turn", f"{at}{_why_unusable(outcome)}")
        if prompt.split != "test" and (missing := missing_reasoning(outcome.trace, self.config.prompting)):
            return RowRejected(NO_TRACE, f"{at}{missing}")
        return outcome if turn == turns else outcome.completion


def _why_unusable(answer: Answer) -> str:
    fault = "the answer is incomplete" if answer.completion.strip() else "the answer is blank"
    return f"{fault} (finish_reason {answer.finish_reason!r}), so the turns after it were not requested"


def history(messages: Messages, replies: Sequence[str]) -> Messages:
    """The conversation up to the user turn after the last reply, with `replies` as its assistant turns."""
    turns: list[Message] = []
    rest = iter(replies)
    for message in messages:
        if message.role == "assistant":
            reply = next(rest, None)
            if reply is None:
                break
            message = message.model_copy(update={"content": reply})
        turns.append(message)
    return tuple(turns)
