"""Routing policies: which teachers answer a prompt, how often, and when the next teacher is asked.

route: one teacher, drawn by weight. all: each teacher. cascade: the first, then the next where an answer is invalid or
samples disagree. fallback: the first, then the next where there is no complete answer.

A test row has one answer, which student and baseline are measured against: with policy all it is the first teacher's.
A cascade asks for as many samples of it as of any other row, as it needs them to compare.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Protocol

from azdistill.contracts.requests import Policy, RequestConfig
from azdistill.contracts.rows import Prompt
from azdistill.teacher.conversation import Conversation, Converser
from azdistill.teacher.replies import Answer

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

Conversations = Sequence[Conversation]


@dataclass(frozen=True)
class Router(Converser):
    """Take each prompt to its answers by the policy of the job. `task` reads the answers of a cascade."""

    task: "Task | None" = None

    async def answer(self, prompt: Prompt, number: int) -> Conversations:
        """The conversations that rows are made of: of a test row one, with a complete answer where there is one."""
        conversations = await POLICIES[self.config.policy](self, prompt, number)
        if prompt.split != "test":
            return conversations
        return [next((conversation for conversation in conversations if conversation.is_complete), conversations[0])]

    async def samples_of(self, prompt: Prompt, number: int, teachers: Iterable[int]) -> Conversations:
        """All samples of some teachers, asked concurrently."""
        return await _concurrently(
            [
                self.converse(prompt, number, teacher, sample)
                for teacher in teachers
                for sample in range(self.samples(prompt))
            ]
        )

    def samples(self, prompt: Prompt) -> int:
        return 1 if prompt.split == "test" else self.config.samples


class RoutingPolicy(Protocol):
    def __call__(self, router: Router, prompt: Prompt, number: int) -> Awaitable[Conversations]: ...


def route(router: Router, prompt: Prompt, number: int) -> Awaitable[Conversations]:
    return router.samples_of(prompt, number, first_teachers(prompt, router.config))


async def cascade(router: Router, prompt: Prompt, number: int) -> Conversations:
    assert router.task, "a cascade needs its task"
    conversations: Conversations = ()
    last = len(router.config.teachers) - 1
    for teacher in range(last + 1):
        samples = router.config.samples if teacher < last else router.samples(prompt)
        conversations = await _concurrently(
            [router.converse(prompt, number, teacher, sample) for sample in range(samples)]
        )
        if agree(conversations, router.task):
            break
    return conversations


async def fallback(router: Router, prompt: Prompt, number: int) -> Conversations:
    async def until_complete(sample: int) -> Conversation:
        conversation = await router.converse(prompt, number, 0, sample)
        for teacher in range(1, len(router.config.teachers)):
            if conversation.is_complete:
                break
            conversation = await router.converse(prompt, number, teacher, sample)
        return conversation

    return await _concurrently([until_complete(sample) for sample in range(router.samples(prompt))])


POLICIES: Mapping[Policy, RoutingPolicy] = {"route": route, "all": route, "cascade": cascade, "fallback": fallback}


async def _concurrently(conversations: Sequence[Coroutine[Any, Any, Conversation]]) -> Conversations:
    if len(conversations) == 1:
        return [await conversations[0]]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(conversation) for conversation in conversations]
    return [task.result() for task in tasks]


def agree(conversations: Conversations, task: "Task") -> bool:
    """True if all answers are complete, valid for the task, and equal to it."""
    answers = [
        task.answer(conversation.outcome.completion)
        if conversation.is_complete and isinstance(conversation.outcome, Answer)
        else None
        for conversation in conversations
    ]
    return None not in answers and all(task.correct(first, second) for first, second in pairwise(filter(None, answers)))


def first_teachers(prompt: Prompt, config: RequestConfig) -> Sequence[int]:
    """Indices of the teachers that get the first requests of a prompt."""
    if config.policy == "all" and prompt.split != "test":
        return range(len(config.teachers))
    if config.policy == "route" and len(config.teachers) > 1:
        return [draw(prompt.id, [teacher.weight for teacher in config.teachers])]
    return [0]


def draw(key: str, weights: Sequence[float]) -> int:
    """Weighted choice of an index, determined by a hash of `key`: other keys do not change it."""
    point = int.from_bytes(hashlib.sha256(f"route {key}".encode()).digest()[:7], "big") / 2**56 * sum(weights)
    return next((index for index, end in enumerate(accumulate(weights)) if point < end), len(weights) - 1)
