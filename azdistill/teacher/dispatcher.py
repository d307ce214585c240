"""Process the prompts of a job in order, a bounded number of them concurrently."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from azdistill.contracts.progress import Progress
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Prompt
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.client import TeacherClient
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.policies import Conversations, Router, first_teachers
from azdistill.teacher.rank import Rank
from azdistill.teacher.replies import Answer, Outcome, RowRejected
from azdistill.teacher.requests import Request
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.usage import add_counts

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

# Maximum number of prompts in progress. Most of them wait: for a retry, a commit of the store or the next teacher.
MOST_PROMPTS = 20_000
STATUS_EVERY_S = 5.0
NOT_STORED = RowRejected("not_stored", "the store has no answer")


class TooManyRejected(Exception):
    """More prompts are rejected than the job allows: further answers would be paid for nothing."""


class Dispatcher:
    """Answer prompts. `results` has the conversations of each prompt, None of one that is not answered yet.

    `check` is called regularly, and may raise to end the job.
    """

    def __init__(
        self,
        prompts: Sequence[Prompt],
        config: RequestConfig,
        endpoints: Sequence[Endpoint],
        store: ResponseStore,
        answers: JobAnswers,
        *,
        rank: Rank = Rank(),  # noqa: B008  # it is frozen
        task: "Task | None" = None,
        allowed_rejects: int,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.prompts, self.config, self.store, self.answers = prompts, config, store, answers
        self.check, self.allowed_rejects = check, allowed_rejects
        self.clients = [
            TeacherClient(
                rank.portion(endpoint),
                config,
                store,
                answers,
                share=rank.share,
                has_substitute=config.policy == "fallback" and index + 1 < len(endpoints),
                on_change=self._start_next,
            )
            for index, endpoint in enumerate(endpoints)
        ]
        self.router = Router(config, endpoints, self._ask, task)
        self.results: list[Conversations | None] = [None] * len(prompts)
        self.missing: Sequence[int] = range(len(prompts))
        self.from_store = self.rejected = 0
        self._waiting_prompts: Iterator[int] = iter(())
        self._in_progress, self._done = 0, asyncio.Event()

    async def load_stored(self) -> None:
        """Answer the prompts whose answers are all in the store; `missing` has the indices of the others."""
        self.results = await answer_from_store(self.prompts, self.router, self.answers)
        self.missing = [index for index, result in enumerate(self.results) if result is None]
        self.from_store = len(self.prompts) - len(self.missing)
        self.rejected = sum(result is not None and not is_answered(result) for result in self.results)

    async def run(self) -> None:
        """Answer every prompt that the store has no answers of.

        Raises EndpointError when an endpoint refuses every row or stays down and no other teacher substitutes it,
        BudgetReached, TooManyRejected, and AzdistillError when the store cannot be written. Cancelling it loses no
        answer that arrived.
        """
        if not self.missing:
            return
        self.progress = Progress(self.config.role, len(self.missing))
        if self.rejected > self.allowed_rejects:
            raise TooManyRejected
        self.store.check_writable()
        try:
            async with contextlib.AsyncExitStack() as sessions:
                for client in self.clients:
                    await sessions.enter_async_context(client)
                await self._run_all()
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        finally:
            self.store.close()

    async def _run_all(self) -> None:
        async with asyncio.TaskGroup() as self._tasks:
            background = [self._tasks.create_task(self.store.commit_forever()), self._tasks.create_task(self._report())]
            if self.config.teacher_route == "endpoint":
                async with asyncio.TaskGroup() as checks:
                    for client in self._clients_to_check():
                        checks.create_task(client.preflight())
            self._waiting_prompts = iter(self.missing)
            self._start_next()
            await self._done.wait()
            for task in background:
                task.cancel()

    def _clients_to_check(self) -> list[TeacherClient]:
        """Teachers that are asked first, and those that may be asked after them."""
        if self.config.policy in ("cascade", "fallback"):
            return self.clients
        firsts = {first for index in self.missing for first in first_teachers(self.prompts[index], self.config)}
        return [self.clients[first] for first in sorted(firsts)]

    def _start_next(self) -> None:
        """Start the next prompt if a teacher that it may begin with has a free slot. One prompt starts another: this is
        called for each slot that is taken or free, and for each prompt that is done."""
        task = asyncio.current_task()
        is_cancelled = task is not None and task.cancelling()
        if not is_cancelled and self._in_progress < MOST_PROMPTS and self._has_free_slot():
            index = next(self._waiting_prompts, None)
            if index is not None:
                self._in_progress += 1
                self._tasks.create_task(self._answer(index))

    def _has_free_slot(self) -> bool:
        clients = self.clients
        if self.config.policy in ("cascade", "fallback"):
            clients = [next((client for client in clients if not client.failure), clients[-1])]
        return any(client.slots.free and not client.outage.is_down for client in clients)

    async def _answer(self, index: int) -> None:
        result = await self.router.answer(self.prompts[index], index)
        self.results[index] = result
        self.rejected += not is_answered(result)
        self.progress.advance(note=self._status)
        self.check()
        if self.rejected > self.allowed_rejects:
            raise TooManyRejected
        self._in_progress -= 1
        self._start_next()
        if not self._in_progress:
            self._done.set()

    def _ask(self, teacher: int, request: Request, number: int) -> Awaitable[Outcome]:
        return self.clients[teacher].ask(request, number)

    async def _report(self) -> None:
        """Log progress while rows wait for a rate limit or an outage to pass."""
        while True:
            await asyncio.sleep(STATUS_EVERY_S)
            self.progress.advance(0, self._status)
            self.check()

    def _status(self) -> str:
        rejected = f"{self.rejected} rejected" if self.rejected else ""
        waiting = sum(client.waiting for client in self.clients)
        retries = f"{waiting} wait for a retry" if waiting else ""
        return ", ".join(filter(None, (self.answers.budget.status(), rejected, retries)))

    def counts(self) -> dict[str, Any]:
        """The fields of usage.json that were counted: of each teacher, and of all."""
        by_teacher = {client.teacher.called: client.usage.counts() for client in self.clients}
        totals = reduce(add_counts, by_teacher.values())
        return {"asked": self.answers.asked, "from_store": self.from_store, **totals, "teachers": by_teacher}

    def latencies_s(self) -> list[float]:
        bought = [seconds for client in self.clients for seconds in client.usage.latencies_s]
        return self.answers.stored_latencies_s + bought


def is_answered(conversations: Conversations) -> bool:
    return any(isinstance(conversation.outcome, Answer) for conversation in conversations)


async def answer_from_store(
    prompts: Sequence[Prompt], router: Router, answers: JobAnswers
) -> list[Conversations | None]:
    """Answer prompts without any call; None for a prompt of which an answer is missing. Afterwards the budget includes
    all stored answers of these prompts, also of teachers that come after a missing answer."""
    if not (answers.index or answers.outcomes):
        return [None] * len(prompts)
    is_missing = False

    async def find(teacher: int, request: Request, number: int) -> Outcome:
        nonlocal is_missing
        outcome = answers.find(request, router.endpoints[teacher].teacher)
        is_missing |= outcome is None
        return outcome or NOT_STORED

    offline, results = replace(router, ask=find), list[Conversations | None]()
    for number, prompt in enumerate(prompts):
        is_missing = False
        conversations = await offline.answer(prompt, number)
        results.append(None if is_missing else conversations)
    return results


def first_error(group: BaseException) -> BaseException:
    """The first exception of a (nested) exception group."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group
