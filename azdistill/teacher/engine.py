"""The engine: many questions in flight, refilled as answers arrive, each answer durable before it counts.

There are no batches. A row that has to wait (a retry, a Retry-After) gives its place in flight to the next
row and comes back ahead of rows that were never asked. A place is free again as soon as an answer has
arrived; the answer is written behind its back. While the endpoint is down one row alone asks whether it is
back, and no row is charged for it.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

if sys.platform != "win32":
    import resource

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.money import BudgetReached, Purse
from azdistill.teacher.pace import Pace
from azdistill.teacher.questions import Question
from azdistill.teacher.replies import Answer, Fatal, Refusal, Reply, Retry, read_reply
from azdistill.teacher.session import ask, let_in, open_session
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.tally import Tally

FIRST_WAIT_S = 0.25
FIRST_THROTTLED_WAIT_S = 2.0  # limits are counted by the minute
LONGEST_WAIT_S = 30.0
FEWEST_FAILURES = 10
LONGEST_OUTAGE_S = 900.0
SPARE_FILES = 64
OUTAGE_LOOK_S = 0.2
BYTES_A_TOKEN = 4
MAY_BE_BILLED = frozenset({"timeout", "connection"})
FINAL = frozenset({"content_filter"})
"""Refusals that asking again would only repeat; they are kept in the store. The others may have been mended."""
OUTAGE = Retry("outage", "the endpoint is down")

Outcome = Answer | Refusal
Settled = Callable[[Question, Outcome], Iterable[Question] | None]


@dataclass(order=True, slots=True)
class Job:
    """One question on its way. Rows asked before come first, then the order of the prompts."""

    priority: int
    number: int
    question: Question = field(compare=False)
    tries: int = field(default=0, compare=False)
    failures: int = field(default=0, compare=False)
    stalls: int = field(default=0, compare=False)
    answers_seen: int = field(default=0, compare=False)

    def charge(self, reply: Retry, answers: int) -> int:
        """Count a try that brought nothing; returns those that count against the row. A refusal by a rate
        limit does only while the endpoint answers no row at all."""
        self.tries += 1
        self.failures += not reply.throttled
        self.stalls = self.stalls + reply.throttled if answers == self.answers_seen else 0
        self.answers_seen = answers
        return self.failures + self.stalls


class Engine:
    """Asks one endpoint. `settled` is called on the event loop for each question once its outcome is final, and
    for an answer once it is durable; the questions that it returns are asked next, in the place of that one."""

    def __init__(
        self,
        endpoint: Endpoint,
        config: TeacherConfig,
        store: ResponseStore,
        settled: Settled,
        *,
        spent: float = 0.0,
        share: float = 1.0,
        longest_outage_s: float = LONGEST_OUTAGE_S,
    ) -> None:
        teacher = config.teachers[0]
        self.endpoint, self.config, self.store, self.settled = endpoint, config, store, settled
        self.purse = Purse(teacher, config.budget, spent)
        self.tally = Tally(self.purse.cost)
        self.pace = Pace(teacher.requests_per_minute, teacher.tokens_per_minute, share)
        self.longest_outage_s = longest_outage_s
        self.waiting = 0  # rows between two tries
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
        self._failures_in_a_row = 0
        self._up = asyncio.Event()
        self._up.set()
        self._stopped: BudgetReached | None = None

    async def ask(self, questions: Iterable[Question]) -> None:
        """Settle every question. Raises EndpointError when the endpoint refuses all or stays down, BudgetReached
        once what was in flight has arrived, AzdistillError when the store can't be written. Cancelling it loses
        nothing that has arrived."""
        for number, question in enumerate(questions):
            self._jobs.put_nowait(Job(0, number, question))
        places = min(self.config.teachers[0].max_in_flight, self._jobs.qsize())
        if places == 0:
            return
        self.store.check_writable()
        allow_open_files(places + SPARE_FILES)
        try:
            async with open_session(self.endpoint, places, self.config.timeout_s) as session:
                await self._settle_all(session, places)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.store.close()
        if self._stopped:
            raise self._stopped

    async def _settle_all(self, session: aiohttp.ClientSession, places: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._work(session)) for _ in range(places)]
            running.append(tasks.create_task(self.store.commit_forever()))
            running.append(tasks.create_task(self._watch_for_the_end_of_an_outage(session)))
            await self._jobs.join()
            for task in running:
                task.cancel()

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._up.wait()
            job = await self._jobs.get()
            if self._up.is_set():
                await self._ask(session, job)
            else:  # for the one row that asks whether the endpoint is back
                self._jobs.put_nowait(job)
                self._jobs.task_done()

    async def _ask(self, session: aiohttp.ClientSession, job: Job) -> Reply | None:
        """Ask one row and see to its reply. None when nothing is asked any more."""
        size = len(job.question.body)
        try:
            reserved = await self.purse.reserve(size, self.config.max_tokens)
        except BudgetReached as problem:
            self._stopped = problem
            self._jobs.task_done()
            return None
        tokens = self._expected_tokens(size)
        await self.pace.turn(tokens)
        asked_at = time.monotonic()
        reply, headers = await self._call(session, job.question)
        self._account(reply, headers, asked_at, reserved, tokens)
        self._judge(job, reply, time.monotonic() - asked_at)
        return reply

    def _expected_tokens(self, size: int) -> int:
        """Of a request of `size` bytes and its answer, for a limit of tokens a minute."""
        return size // BYTES_A_TOKEN + (self.tally.mean_completion() or self.config.max_tokens)

    def _account(self, reply: Reply, headers: Mapping[str, str], asked_at: float, reserved: float, tokens: int) -> None:
        """Money and pace of one call."""
        if isinstance(reply, Answer):
            self.purse.settle(reserved, reply.prompt_tokens, reply.completion_tokens)
            self.pace.accepted(asked_at, headers, tokens, reply.prompt_tokens + reply.completion_tokens)
        elif isinstance(reply, Retry) and reply.reason in MAY_BE_BILLED:
            self.purse.lose(reserved)
        else:
            self.purse.settle(reserved, 0, 0)
        if isinstance(reply, Retry) and reply.throttled:
            self.pace.refused(asked_at, tokens, reply.after_s)

    async def _call(self, session: aiohttp.ClientSession, question: Question) -> tuple[Reply, Mapping[str, str]]:
        self.tally.calls += 1
        headers = await let_in(self.endpoint.access)
        try:
            async with ask(session, self.endpoint, question.body, headers) as response:
                return read_reply(response.status, response.headers, await response.read()), response.headers
        except TimeoutError:
            return Retry("timeout", f"no answer within {self.config.timeout_s} s"), {}
        except (aiohttp.ClientError, OSError) as problem:
            return Retry("connection", f"{type(problem).__name__}: {problem}"), {}

    def _judge(self, job: Job, reply: Reply, seconds: float) -> None:
        if isinstance(reply, Retry):
            self._again(job, reply)
            return
        self._failures_in_a_row = 0
        self._up.set()
        if isinstance(reply, Fatal):
            raise EndpointError(f"{self.endpoint}: {self._clean(reply.detail)}")
        outcome = Refusal(reply.reason, self._clean(reply.detail)) if isinstance(reply, Refusal) else reply
        if isinstance(outcome, Refusal) and outcome.reason not in FINAL:
            self._settle(job, outcome)
            return
        if isinstance(outcome, Answer):
            self.tally.answered(outcome, seconds)
        stored = StoredAnswer(job.question.key, self.endpoint.identity, self.endpoint.model, outcome, seconds)
        self.store.put(stored, lambda: self._settle(job, outcome))

    def _settle(self, job: Job, outcome: Outcome) -> None:
        for question in self.settled(job.question, outcome) or ():
            self._jobs.put_nowait(Job(0, job.number, question))
        self._jobs.task_done()

    def _again(self, job: Job, reply: Retry) -> None:
        """Put the row back after its wait, or give it up when its tries are spent. An outage costs no row a try."""
        self.tally.retried(reply)
        self._watch_for_an_outage(reply)
        if self._up.is_set() and job.charge(reply, self.tally.bought) >= self.config.max_attempts:
            detail = f"given up after {job.tries} tries; the last: {self._clean(reply.detail)}"
            self._settle(job, Refusal(reply.reason, detail))
            return
        job.priority = -job.tries
        self.waiting += 1
        asyncio.get_running_loop().call_later(wait_s(max(job.tries, 1), reply), self._put_back, job)

    def _put_back(self, job: Job) -> None:
        self.waiting -= 1
        self._jobs.put_nowait(job)
        self._jobs.task_done()

    def _watch_for_an_outage(self, reply: Retry) -> None:
        """Each place in flight has failed, and none was answered in between: the endpoint is down. When nothing
        was ever answered it is more likely wrong, and the job ends after three failures of each place."""
        if reply.throttled:
            return
        self._failures_in_a_row += 1
        places = max(FEWEST_FAILURES, self.config.teachers[0].max_in_flight)
        if self.tally.bought and self._failures_in_a_row >= places:
            self._up.clear()
        if not self.tally.bought and self._failures_in_a_row >= 3 * places:
            raise EndpointError(
                f"{self.endpoint}: no answer to the first {self.tally.calls} calls; the last: "
                f"{self._clean(reply.detail)}; check that the endpoint is up, then run again"
            )

    async def _watch_for_the_end_of_an_outage(self, session: aiohttp.ClientSession) -> None:
        """While the endpoint is down, one row at a time asks whether it is back, at growing distances."""
        while True:
            await asyncio.sleep(OUTAGE_LOOK_S)
            if not self._up.is_set():
                await self._wait_out(session)

    async def _wait_out(self, session: aiohttp.ClientSession) -> None:
        began, tries = time.monotonic(), 0
        print(f"{self.endpoint}: down; one row at a time asks whether it is back", flush=True)
        while not self._up.is_set():
            if time.monotonic() - began > self.longest_outage_s:
                raise EndpointError(
                    f"{self.endpoint}: down for {self.longest_outage_s:.0f} s; no row was charged and all that was "
                    "answered is stored; run again when it is back"
                )
            tries += 1
            await asyncio.sleep(wait_s(tries, OUTAGE))
            await self._ask(session, await self._jobs.get())

    def _clean(self, detail: str) -> str:
        return self.endpoint.access.redact(detail)


def allow_open_files(count: int) -> None:
    """Let this process hold `count` connections, where the system's own limit allows it."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def wait_s(tries: int, reply: Retry) -> float:
    """Seconds before the next try: what the endpoint asked for, else exponential, both spread by chance."""
    if reply.after_s is not None:
        return reply.after_s * random.uniform(1.0, 1.1)
    first = FIRST_THROTTLED_WAIT_S if reply.throttled else FIRST_WAIT_S
    return min(LONGEST_WAIT_S, first * 2.0 ** min(tries - 1, 16)) * random.uniform(0.5, 1.0)


def _first(group: BaseException) -> BaseException:
    """Of places that failed side by side, one tells it all."""
    found = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
