"""When a request is sent again, and what happens while an endpoint is down."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from azdistill.contracts.errors import EndpointError
from azdistill.teacher.replies import Retry

logger = logging.getLogger("azdistill.teacher")

FIRST_WAIT_S = 0.25
# Limits are counted by the minute.
FIRST_THROTTLED_WAIT_S = 2.0
LONGEST_WAIT_S = 30.0
FEWEST_FAILURES = 10
LONGEST_OUTAGE_S = 900.0
OUTAGE = Retry("outage", "the endpoint is down")


def wait_s(tries: int, reply: Retry) -> float:
    """Seconds before the next try: what the endpoint asked for, else exponential, both with random jitter."""
    if reply.after_s is not None:
        return reply.after_s * random.uniform(1.0, 1.1)
    first = FIRST_THROTTLED_WAIT_S if reply.throttled else FIRST_WAIT_S
    return min(LONGEST_WAIT_S, first * 2.0 ** min(tries - 1, 16)) * random.uniform(0.5, 1.0)


@dataclass
class Tries:
    """Failed tries of one request. A refusal by a rate limit is charged only while the endpoint answers no row."""

    count: int = 0
    failures: int = 0
    throttled: int = 0
    bought_before: int = -1

    def charge(self, reply: Retry, bought: int) -> int:
        """Count a failed try. Returns the tries charged to the row. `bought` is the number of answers so far."""
        self.count += 1
        self.failures += not reply.throttled
        self.throttled = self.throttled + reply.throttled if bought == self.bought_before else 0
        self.bought_before = bought
        return self.failures + self.throttled


class OutageGuard:
    """Detects that an endpoint is down. Then one request at a time probes whether it is back.

    It is down when every slot has failed and none was answered in between. If nothing was ever answered, it is more
    likely wrong than down, and EndpointError is raised after three failures of each slot.
    """

    def __init__(self, name: str, slots: int) -> None:
        self.name, self.longest_s = name, LONGEST_OUTAGE_S
        self.is_down = False
        self._limit = max(FEWEST_FAILURES, slots)
        self._failures, self._has_answered = 0, False
        self._since, self._probes, self._probing = 0.0, 0, asyncio.Lock()

    def permit(self) -> AbstractAsyncContextManager[None]:
        """Permission for one request: immediate while the endpoint is up. While it is down, one request at a time gets
        it, at growing intervals. Entering raises EndpointError when the endpoint is down for too long."""
        return self._permit_probe() if self.is_down else nullcontext()

    @asynccontextmanager
    async def _permit_probe(self) -> AsyncIterator[None]:
        while self.is_down:
            async with self._probing:
                if self.is_down:
                    await self._wait_before_probe()
                    yield
                    return
        yield

    async def _wait_before_probe(self) -> None:
        if time.monotonic() - self._since > self.longest_s:
            raise EndpointError(
                f"{self.name}: down for {self.longest_s:.0f} s; no row was charged, and all answers are stored",
                fix="run again when it is back",
            )
        self._probes += 1
        await asyncio.sleep(wait_s(self._probes, OUTAGE))

    def replied(self, *, answered: bool) -> None:
        """Count a reply: the endpoint is up. A reply that rejects a row is a reply, but not an answer."""
        self._failures, self.is_down = 0, False
        self._has_answered |= answered

    def failed(self, reply: Retry) -> None:
        """Count a failed call. A refusal by a rate limit does not count: the endpoint is up."""
        if reply.throttled:
            return
        self._failures += 1
        if self._has_answered and self._failures >= self._limit and not self.is_down:
            self.is_down, self._since, self._probes = True, time.monotonic(), 0
            logger.info("%s: down; one row at a time is sent to probe whether it is back", self.name)
        if not self._has_answered and self._failures >= 3 * self._limit:
            raise EndpointError(
                f"{self.name}: no answer to the first {self._failures} calls; the last: {reply.detail}",
                fix="check that the endpoint is up, then run again",
            )
