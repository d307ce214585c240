"""The engine: many questions to one teacher in flight, refilled as answers arrive, each durable before it counts.

There are no batches. A row that has to wait (a retry, a Retry-After) gives its place in flight to the next
row and comes back ahead of rows that were never asked. A place is free again as soon as an answer has
arrived; the answer is written behind its back. While the endpoint is down one row alone asks whether it is
back, and no row is charged for it.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import aiohttp

if sys.platform != "win32":
    import resource

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import Budget, cost
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.preflight import LARGEST_PREFLIGHT, PREFLIGHT_TOKENS, preflight
from azdistill.teacher.rate_limit import RateLimiter
from azdistill.teacher.replies import CUT, Answer, EndpointFailed, Reply, Retry, RowRejected, read_reply
from azdistill.teacher.requests import Request
from azdistill.teacher.session import auth_headers, open_session, post, with_request_id
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.usage import UsageCounter

FIRST_WAIT_S = 0.25
FIRST_THROTTLED_WAIT_S = 2.0  # limits are counted by the minute
LONGEST_WAIT_S = 30.0
FEWEST_FAILURES = 10
LONGEST_OUTAGE_S = 900.0
SPARE_FILES = 64
OUTAGE_LOOK_S = 0.2
BYTES_A_TOKEN = 4
MAY_BE_BILLED = frozenset({"timeout", "connection", CUT})
FINAL = frozenset({"content_filter"})
"""Refusals that asking again would only repeat; they are kept in the store. The others may have been mended."""
OUTAGE = Retry("outage", "the endpoint is down")

Outcome = Answer | RowRejected
Settled = Callable[[Request, Outcome], None]


@dataclass(order=True, slots=True)
class Job:
    """One question on its way. Rows asked before come first, then the order of the prompts."""

    priority: int
    number: int
    question: Request = field(compare=False)
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
    for an answer once it is durable. The purse and the store are those of the whole job."""

    def __init__(
        self,
        endpoint: Endpoint,
        config: TeacherConfig,
        store: ResponseStore,
        purse: Budget,
        settled: Settled,
        *,
        share: float = 1.0,
        longest_outage_s: float = LONGEST_OUTAGE_S,
    ) -> None:
        teacher = endpoint.teacher
        self.endpoint, self.config, self.store, self.purse, self.settled = endpoint, config, store, purse, settled
        self.tally = UsageCounter(lambda asked, answered: cost(teacher, asked, answered))
        self.pace = RateLimiter(teacher.requests_per_minute, teacher.tokens_per_minute, share)
        self.longest_outage_s = longest_outage_s
        self.waiting = 0  # rows between two tries
        self._open: dict[str, Request] = {}
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
        self._failures_in_a_row = 0
        self._up = asyncio.Event()
        self._up.set()

    def add(self, question: Request, number: int) -> None:
        """Ask a question when its turn comes: the lower its number, the sooner."""
        self._open[question.key] = question
        self._jobs.put_nowait(Job(0, number, question))

    def unanswered(self) -> list[Request]:
        """What has no outcome yet, durable or about to be."""
        return list(self._open.values())

    async def run(self) -> None:
        """Settle what was added and what is added meanwhile, until cancelled, which loses nothing that has arrived.

        Raises EndpointError when the endpoint refuses all or stays down, BudgetReached when nothing more may be asked
        and nothing is in flight.
        """
        places = self.endpoint.teacher.max_in_flight
        allow_open_files(places + SPARE_FILES)
        try:
            async with open_session(self.endpoint, places, self.config.timeout_s) as session:
                await self._work_side_by_side(session, places)
        except BaseExceptionGroup as group:
            raise first_of(group) from None

    async def _work_side_by_side(self, session: aiohttp.ClientSession, places: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(places):
                tasks.create_task(self._work(session))
            tasks.create_task(self._watch_for_the_end_of_an_outage(session))

    async def preflight(self) -> None:
        """One call before any other, paced and paid for as they are. Raises EndpointError when it tells that no row
        would be answered."""
        reserved = await self.purse.reserve(self.tally.cost(LARGEST_PREFLIGHT, PREFLIGHT_TOKENS))
        await self.pace.turn(PREFLIGHT_TOKENS)
        answer = await preflight(self.endpoint, self.config)
        self.purse.settle(reserved, self.tally.checked(answer))

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            await self._up.wait()
            job = await self._jobs.get()
            if self._up.is_set():
                await self._ask(session, job)
            else:  # for the one row that asks whether the endpoint is back
                self._jobs.put_nowait(job)

    async def _ask(self, session: aiohttp.ClientSession, job: Job) -> None:
        """Ask one row and see to its reply."""
        size = len(job.question.body)
        reserved = await self.purse.reserve(self.tally.cost(size, self.config.max_tokens))  # a token has a byte or more
        try:
            tokens = self._expected_tokens(size)
            await self.pace.turn(tokens)
            asked_at = time.monotonic()
            reply, headers = await self._call(session, job.question)
        except asyncio.CancelledError:
            self.purse.settle(reserved, reserved)
            raise
        self._account(reply, headers, asked_at, reserved, tokens)
        self._judge(job, reply, time.monotonic() - asked_at)

    def _expected_tokens(self, size: int) -> int:
        """Of a request of `size` bytes and its answer, for a limit of tokens a minute."""
        return size // BYTES_A_TOKEN + (self.tally.mean_completion() or self.config.max_tokens)

    def _account(self, reply: Reply, headers: Mapping[str, str], asked_at: float, reserved: float, tokens: int) -> None:
        """Money and pace of one call."""
        if isinstance(reply, Answer):
            self.purse.settle(reserved, self.tally.cost(reply.prompt_tokens, reply.completion_tokens))
            self.pace.accepted(asked_at, headers, tokens, reply.prompt_tokens + reply.completion_tokens)
        elif isinstance(reply, Retry) and reply.reason in MAY_BE_BILLED:
            self.purse.settle(reserved, reserved)
        else:
            self.purse.settle(reserved, 0.0)
        if isinstance(reply, Retry) and reply.throttled:
            self.pace.refused(asked_at, tokens, reply.after_s)

    async def _call(self, session: aiohttp.ClientSession, question: Request) -> tuple[Reply, Mapping[str, str]]:
        self.tally.calls += 1
        headers = with_request_id(await auth_headers(self.endpoint.auth), question.key)
        try:
            async with post(session, self.endpoint, question.body, headers) as response:
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
        if isinstance(reply, EndpointFailed):
            raise EndpointError(f"{self.endpoint}: {self._clean(reply.detail)}")
        del self._open[job.question.key]
        outcome = RowRejected(reply.reason, self._clean(reply.detail)) if isinstance(reply, RowRejected) else reply
        if isinstance(outcome, RowRejected) and outcome.reason not in FINAL:
            self.settled(job.question, outcome)
            return
        if isinstance(outcome, Answer):
            self.tally.answered(outcome, seconds)
        stored = StoredAnswer(job.question.key, self.endpoint.identity, self.endpoint.model, outcome, seconds)
        self.store.put(stored, lambda: self.settled(job.question, outcome))

    def _again(self, job: Job, reply: Retry) -> None:
        """Put the row back after its wait, or give it up when its tries are spent. An outage costs no row a try."""
        self.tally.retried(reply)
        self._watch_for_an_outage(reply)
        if self._up.is_set() and job.charge(reply, self.tally.bought) >= self.config.max_attempts:
            del self._open[job.question.key]
            detail = f"given up after {job.tries} tries; the last: {self._clean(reply.detail)}"
            self.settled(job.question, RowRejected(reply.reason, detail))
            return
        job.priority = -job.tries
        self.waiting += 1
        asyncio.get_running_loop().call_later(wait_s(max(job.tries, 1), reply), self._put_back, job)

    def _put_back(self, job: Job) -> None:
        self.waiting -= 1
        self._jobs.put_nowait(job)

    def _watch_for_an_outage(self, reply: Retry) -> None:
        """Each place in flight has failed, and none was answered in between: the endpoint is down. When nothing
        was ever answered it is more likely wrong, and the job ends after three failures of each place."""
        if reply.throttled:
            return
        self._failures_in_a_row += 1
        places = max(FEWEST_FAILURES, self.endpoint.teacher.max_in_flight)
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
        return self.endpoint.auth.redact(detail)


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


def first_of(group: BaseException) -> BaseException:
    """Of places that failed side by side, one tells it all."""
    found = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
