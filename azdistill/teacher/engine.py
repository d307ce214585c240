"""The engine: many questions in flight, refilled as answers arrive, each answer durable before it counts.

There are no batches. A row that has to wait (a retry, a Retry-After) gives its place in flight to the next
row and comes back ahead of rows that were never asked. A place is free again as soon as an answer has
arrived; the answer is written behind its back.
"""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiohttp

if sys.platform != "win32":
    import resource

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.questions import Question
from azdistill.teacher.replies import Answer, Fatal, Refusal, Reply, Retry, read_reply
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.tally import Tally

FIRST_WAIT_S = 0.25
FIRST_THROTTLED_WAIT_S = 2.0  # limits are counted by the minute
LONGEST_WAIT_S = 30.0
LONGEST_CONNECT_S = 30.0
FEWEST_FAILURES = 10
SPARE_FILES = 64

Outcome = Answer | Refusal
Settled = Callable[[Question, Outcome], None]


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
    for an answer once it is durable."""

    def __init__(self, endpoint: Endpoint, config: TeacherConfig, store: ResponseStore, settled: Settled) -> None:
        self.endpoint, self.config, self.store, self.settled = endpoint, config, store, settled
        self.tally = Tally()
        self.waiting = 0  # rows between two tries
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
        self._failures_in_a_row = 0

    async def ask(self, questions: Iterable[Question]) -> None:
        """Settle every question. Raises EndpointError when the endpoint refuses all, AzdistillError when the
        store can't be written. Cancelling it loses nothing that has arrived."""
        for number, question in enumerate(questions):
            self._jobs.put_nowait(Job(0, number, question))
        places = min(self.config.teachers[0].max_in_flight, self._jobs.qsize())
        if places == 0:
            return
        self.store.check_writable()
        allow_open_files(places + SPARE_FILES)
        try:
            async with self._session(places) as session:
                await self._settle_all(session, places)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.store.close()

    async def _settle_all(self, session: aiohttp.ClientSession, places: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self._work(session)) for _ in range(places)]
            running.append(tasks.create_task(self.store.commit_forever()))
            await self._jobs.join()
            for task in running:
                task.cancel()

    def _session(self, places: int) -> aiohttp.ClientSession:
        """One session: `places` kept-alive connections, the key in its headers and nowhere else."""
        timeout = self.config.timeout_s
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=places, ttl_dns_cache=300),
            headers={**self.endpoint.headers(), "Content-Type": "application/json"},
            proxy=self.endpoint.proxy(),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, LONGEST_CONNECT_S)),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _work(self, session: aiohttp.ClientSession) -> None:
        while True:
            job = await self._jobs.get()
            asked_at = time.monotonic()
            reply = await self._call(session, job.question)
            self._judge(job, reply, time.monotonic() - asked_at)

    async def _call(self, session: aiohttp.ClientSession, question: Question) -> Reply:
        self.tally.calls += 1
        try:
            # A redirect is never followed: it would take the key to another host.
            async with session.post(self.endpoint.url, data=question.body, allow_redirects=False) as response:
                return read_reply(response.status, response.headers, await response.read())
        except TimeoutError:
            return Retry("timeout", f"no answer within {self.config.timeout_s} s")
        except (aiohttp.ClientError, OSError) as problem:
            return Retry("connection", f"{type(problem).__name__}: {problem}")

    def _judge(self, job: Job, reply: Reply, seconds: float) -> None:
        if isinstance(reply, Retry):
            self._again(job, reply)
            return
        self._failures_in_a_row = 0
        if isinstance(reply, Fatal):
            raise EndpointError(f"{self.endpoint}: {self._clean(reply.detail)}")
        if isinstance(reply, Refusal):
            self._settle(job, Refusal(reply.reason, self._clean(reply.detail)))
            return
        self.tally.answered(reply, seconds)
        stored = StoredAnswer(job.question.key, self.endpoint.identity, self.endpoint.model, reply)
        self.store.put(stored, lambda: self._settle(job, reply))

    def _settle(self, job: Job, outcome: Outcome) -> None:
        self.settled(job.question, outcome)
        self._jobs.task_done()

    def _again(self, job: Job, reply: Retry) -> None:
        """Put the row back after its wait, or give it up when its tries are spent."""
        self.tally.retried(reply)
        self._watch_for_an_outage(reply)
        if job.charge(reply, self.tally.bought) >= self.config.max_attempts:
            detail = f"given up after {job.tries} tries; the last: {self._clean(reply.detail)}"
            self._settle(job, Refusal(reply.reason, detail))
            return
        job.priority = -job.tries
        self.waiting += 1
        asyncio.get_running_loop().call_later(wait_s(job.tries, reply), self._put_back, job)

    def _put_back(self, job: Job) -> None:
        self.waiting -= 1
        self._jobs.put_nowait(job)
        self._jobs.task_done()

    def _watch_for_an_outage(self, reply: Retry) -> None:
        """Stop when nothing was ever answered and each place in flight has failed three times."""
        if reply.throttled:
            return
        self._failures_in_a_row += 1
        patience = max(FEWEST_FAILURES, 3 * self.config.teachers[0].max_in_flight)
        if self.tally.bought == 0 and self._failures_in_a_row >= patience:
            raise EndpointError(
                f"teacher {self.endpoint.model!r} at {self.endpoint.url}: no answer to the first {self.tally.calls} "
                f"calls; the last: {self._clean(reply.detail)}; check that the endpoint is up, then run again"
            )

    def _clean(self, detail: str) -> str:
        return self.endpoint.redact(detail)


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
