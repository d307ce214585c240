"""Ask one teacher: each request once, within its limits and the budget, and durable before it counts."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

import aiohttp

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.requests import RequestConfig
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.budget import billed_tokens, cost
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.preflight import PREFLIGHT_TOKENS, preflight, probe_request
from azdistill.teacher.rate_limit import RateLimiter
from azdistill.teacher.replies import (
    CUT,
    NO_COMPLETION,
    TOO_LONG,
    Answer,
    EndpointFailed,
    Outcome,
    ParsedReply,
    Retry,
    RowRejected,
)
from azdistill.teacher.requests import Request
from azdistill.teacher.retries import OutageGuard, Tries, logger, wait_s
from azdistill.teacher.session import auth_headers, largest_reply, open_session, post, read_body, with_request_id
from azdistill.teacher.slots import Slots
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.usage import COMPLETE, UsageCounter

if sys.platform != "win32":
    import resource

SPARE_FILES = 64
MAY_BE_BILLED = frozenset({"timeout", "connection", CUT, NO_COMPLETION, TOO_LONG})
# Rejections that another call would only repeat. They are stored; the cause of others may have been fixed.
FINAL = frozenset({"content_filter"})
# Names of models and finish reasons that are remembered.
MOST_NAMES = 1000


class TeacherClient:
    """Client of one endpoint. All teachers of a job share `answers` and the store. `share` is the fraction of the rate
    limits that this process may use, and `on_change` is called when a slot is taken or released.

    `has_substitute`: when the endpoint fails for good, its rows are rejected, so that another teacher answers them.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: RequestConfig,
        store: ResponseStore,
        answers: JobAnswers,
        *,
        share: float = 1.0,
        has_substitute: bool = False,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        teacher = endpoint.teacher
        self.endpoint, self.teacher, self.config, self.store, self.answers = endpoint, teacher, config, store, answers
        self.has_substitute = has_substitute
        self.failure: EndpointError | None = None
        self.usage = UsageCounter()
        self.waiting = 0  # rows between two tries
        self.slots = Slots(teacher.max_in_flight, on_change)
        self.rate_limiter = RateLimiter(teacher.requests_per_minute, teacher.tokens_per_minute, share)
        self.outage = OutageGuard(str(endpoint), teacher.max_in_flight)
        self._failed, self._has_warned = asyncio.Event(), False
        self._names = RedactedNames(self._redact)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "TeacherClient":
        allow_open_files(self.slots.count + SPARE_FILES)
        self._session = open_session(self.endpoint, self.slots.count, self.config.timeout_s)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._session
        await self._session.close()

    async def ask(self, request: Request, number: int = 0) -> Outcome:
        """The outcome of a request: known, stored, or bought and durable. Requests with a lower number go first.

        Raises EndpointError when the endpoint refuses every row or stays down and no other teacher substitutes it, and
        BudgetReached when nothing more may be sent and nothing is in flight.
        """
        if (known := self.answers.find(request, self.teacher)) is not None:
            return known
        if request.key in self.answers.asking:
            return await asyncio.shield(self.answers.asking[request.key])
        with self.answers.claim(request) as claim:
            try:
                claim.outcome, latency_s = await self._call_until_final(request, number)
            except EndpointError as error:
                self.fail(error)
                if not self.has_substitute:
                    raise
                claim.outcome = RowRejected("endpoint", str(error))
            if isinstance(claim.outcome, Answer) or claim.outcome.reason in FINAL:
                identity, model = self.endpoint.identity, self.endpoint.model
                await self.store.write(StoredAnswer(request.key, identity, model, claim.outcome, latency_s))
        return claim.outcome

    async def _call_until_final(self, request: Request, number: int) -> tuple[Outcome, float]:
        """Call until there is an answer or a rejection; also returns the seconds of the last call. A slot is held
        during a call, and not while a row waits for its next try."""
        tries = Tries()
        while True:
            if self.failure:
                raise self.failure
            async with self.slots.hold((-tries.count, number)), self.outage.permit():
                reply, latency_s = await self._call(request)
            if isinstance(reply, Answer):
                return replace(reply, attempts=tries.count + 1), latency_s
            if isinstance(reply, RowRejected):
                return reply, latency_s
            if not self.outage.is_down and tries.charge(reply, self.usage.bought) >= self.config.max_attempts:
                detail = f"gave up after {tries.count} tries; the last: {reply.detail}"
                return RowRejected(reply.reason, detail, gave_up=True), latency_s
            await self._wait(wait_s(max(tries.count, 1), reply))

    async def _call(self, request: Request) -> tuple[Outcome | Retry, float]:
        """One call within budget and rate limits. Raises EndpointError when the endpoint refuses every row."""
        budget = self.answers.budget
        max_cost = cost(self.teacher, request.most_prompt_tokens, self.config.max_tokens)
        reserved = await budget.reserve(max_cost)
        try:
            tokens = request.likely_prompt_tokens + (self.usage.mean_completion() or self.config.max_tokens)
            await self.rate_limiter.acquire(tokens)
            if self.failure:
                reserved = 0.0
                raise self.failure
            sent_at = time.monotonic()
            reply, headers = await self._post(request)
        except BaseException:
            budget.settle(max_cost, reserved)
            raise
        latency_s = time.monotonic() - sent_at
        self._account(request, reply, headers, sent_at, max_cost, tokens, latency_s)
        if isinstance(reply, Retry):
            self.usage.retried(reply)
            self.outage.failed(reply)
            return reply, latency_s
        self.outage.replied(answered=isinstance(reply, Answer))
        if isinstance(reply, EndpointFailed):
            raise EndpointError(reply.detail, subject=str(self.endpoint))
        return reply, latency_s

    async def _post(self, request: Request) -> tuple[ParsedReply, Mapping[str, str]]:
        """Send a request; returns the parsed reply without secrets, and its headers."""
        assert self._session
        self.usage.calls += 1
        headers = with_request_id(await auth_headers(self.endpoint.auth), request.key)
        largest = largest_reply(self.endpoint, self.config.max_tokens + (request.prompt_tokens or 0))
        try:
            async with post(self._session, self.endpoint, request.body, headers) as response:
                body = await read_body(response, largest)
        except TimeoutError:
            return Retry("timeout", f"no answer within {self.config.timeout_s} s"), {}
        except Exception as error:  # aiohttp raises errors of many types for a reply that it cannot parse
            return Retry("connection", self._redact(f"{type(error).__name__}: {error}")), {}
        if response.status == HTTPStatus.OK and len(body) > largest:
            return RowRejected(TOO_LONG, f"HTTP 200 with more than {largest:,} bytes"), response.headers
        reply = request.read(response.status, response.headers, body)
        if isinstance(reply, Answer):
            return self._without_secrets(reply), response.headers
        if response.status == HTTPStatus.UNAUTHORIZED and self.endpoint.auth.expire(headers):
            reply = Retry("http_401", reply.detail)
        return replace(reply, detail=self._redact(reply.detail)), response.headers

    def _without_secrets(self, answer: Answer) -> Answer:
        """Redact the names in an answer. An endpoint uses few names, and each is redacted once."""
        model, reason = self._names[answer.model], self._names[answer.finish_reason]
        if (model, reason) == (answer.model, answer.finish_reason):
            return answer
        return replace(answer, model=model, finish_reason=str(reason))

    def _account(
        self,
        request: Request,
        reply: ParsedReply,
        headers: Mapping[str, str],
        sent_at: float,
        reserved: float,
        tokens: int,
        latency_s: float,
    ) -> None:
        """Settle the budget and the rate limits of one call, and count an answer."""
        if isinstance(reply, Answer):
            paid = self.answers.cost(reply, request, self.teacher)
            self.answers.budget.settle(reserved, paid)
            self._warn_without_usage(reply, paid)
            self.usage.answered(reply, paid, latency_s)
            used = reply.prompt_tokens + reply.completion_tokens
            self.rate_limiter.accepted(sent_at, headers, tokens, used or tokens)
            return
        may_be_billed = not isinstance(reply, EndpointFailed) and reply.reason in MAY_BE_BILLED
        self.answers.budget.settle(reserved, reserved if may_be_billed else 0.0)
        if isinstance(reply, Retry) and reply.throttled:
            self.rate_limiter.refused(sent_at, tokens, reply.after_s)

    def _warn_without_usage(self, answer: Answer, paid: float) -> None:
        """Warn once if an answer has a price and no token counts."""
        if paid and not (self._has_warned or (answer.prompt_tokens and answer.completion_tokens)):
            self._has_warned = True
            logger.warning(
                "%s: answers without token counts: each is charged at the most that it may cost, one token for each "
                "byte of the request and max_tokens for the answer",
                self.endpoint,
            )

    async def preflight(self) -> None:
        """One call before any row, within the rate limits and the budget. Raises EndpointError when no row would be
        answered."""
        budget, size = self.answers.budget, len(probe_request(self.endpoint, self.config).body)
        reserved = await budget.reserve(cost(self.teacher, size, PREFLIGHT_TOKENS))
        paid = 0.0
        try:
            await self.rate_limiter.acquire(PREFLIGHT_TOKENS)
            if answer := await preflight(self.endpoint, self.config):
                paid = cost(self.teacher, *billed_tokens(answer, size, PREFLIGHT_TOKENS))
            self.usage.preflight.add(answer or Answer("", COMPLETE, 0, 0), paid)
        except EndpointError as error:
            self.fail(error)
            if not self.has_substitute:
                raise
        finally:
            budget.settle(reserved, paid)

    def fail(self, error: EndpointError) -> None:
        """Send nothing more. Rows that wait for a slot, a rate limit or their next try get the same error."""
        if self.failure:
            return
        self.failure = error
        self._failed.set()
        self.rate_limiter.turn_off()
        if self.has_substitute:
            logger.info("%s; the next teacher answers its remaining rows", error)

    async def _wait(self, seconds: float) -> None:
        """Wait between two tries, or until the endpoint has failed."""
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._failed.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting -= 1

    def _redact(self, detail: str) -> str:
        return self.endpoint.auth.redact(detail)


class RedactedNames(dict[str | None, str | None]):
    """Names from replies, such as finish reasons, without secrets."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._redact = redact

    def __missing__(self, name: str | None) -> str | None:
        redacted = name and self._redact(name)
        if len(self) < MOST_NAMES:
            self[name] = redacted
        return redacted


def allow_open_files(count: int) -> None:
    """Raise this process's limit of open files to `count`, where the system allows it."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
