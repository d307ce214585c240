"""Configured and detected rate limits, with a simulated clock."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import pytest

from azdistill.teacher.rate_limit import RateLimiter

LATENCY_S = 0.2


class Clock:
    """Simulated time: an asyncio loop that jumps to the next timer instead of waiting."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.now = 0.0
        self.loop.time = lambda: self.now  # type: ignore[method-assign]
        select = self.loop._selector.select  # type: ignore[attr-defined]

        def skip(timeout: float | None) -> object:
            self.now += timeout or 0.0
            return select(0)

        self.loop._selector.select = skip  # type: ignore[attr-defined]


class Limit:
    """An endpoint that accepts `rate` requests a second, with a bucket of `burst`."""

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self.rate, self.burst, self.clock = rate, burst, clock
        self.level, self.filled = burst, 0.0
        self.accepted: deque[float] = deque()
        self.refused = 0

    def ask(self) -> bool:
        self.level = min(self.level + (self.clock.now - self.filled) * self.rate, self.burst)
        self.filled = self.clock.now
        if self.level < 1:
            self.refused += 1
            return False
        self.level -= 1
        self.accepted.append(self.clock.now)
        return True


def ask(rows: int, limit_of: Callable[[Clock], Limit], in_flight: int = 64, **limits: int) -> tuple[Limit, float]:
    """Send `rows` requests, refused ones again after a second; returns the endpoint and the duration in seconds."""
    clock = Clock()
    limit, rng = limit_of(clock), random.Random(1)

    async def run() -> None:
        limiter, queue = RateLimiter(**limits, clock=lambda: clock.now), deque(range(rows))
        done = 0

        async def work() -> None:
            nonlocal done
            while done < rows:
                if not queue:
                    await asyncio.sleep(0.05)
                    continue
                row = queue.popleft()
                await limiter.acquire(100)
                sent_at, accepted = clock.now, limit.ask()
                await asyncio.sleep(LATENCY_S * rng.lognormvariate(0, 0.35))
                if accepted:
                    limiter.accepted(sent_at, {}, 100, 100)
                    done += 1
                else:
                    limiter.refused(sent_at, 100)
                    clock.loop.call_later(1.0, queue.append, row)

        await asyncio.gather(*(work() for _ in range(in_flight)))

    clock.loop.run_until_complete(run())
    clock.loop.close()
    return limit, clock.now


@pytest.mark.parametrize("burst", [1, 10, 100])
def test_a_configured_rate_is_kept_and_fully_used(burst: float) -> None:
    limit, seconds = ask(3000, lambda clock: Limit(100, max(burst, 3), clock), requests_per_minute=6000)
    assert limit.refused <= 3000 * 0.005
    assert 3000 / seconds >= 97


@pytest.mark.parametrize("burst", [5, 100])
def test_an_unannounced_rate_is_detected(burst: float) -> None:
    limit, seconds = ask(6000, lambda clock: Limit(100, burst, clock))
    assert limit.refused <= 6000 * 0.05
    assert 6000 / seconds >= 93


def test_without_a_limit_only_requests_in_flight_limit_the_rate() -> None:
    _, seconds = ask(6000, lambda clock: Limit(1e6, 1e6, clock))
    assert 6000 / seconds >= 0.9 * 64 / (LATENCY_S * 1.063)  # the mean of that lognormal


@pytest.mark.parametrize(("refused_fraction", "min_fraction"), [(0.03, 0.75), (0.1, 0.65)])
def test_random_refusals_are_not_detected_as_a_limit(refused_fraction: float, min_fraction: float) -> None:
    class Noisy(Limit):
        def ask(self) -> bool:
            self.rng = getattr(self, "rng", random.Random(2))
            return self.rng.random() >= refused_fraction and super().ask()

    _, seconds = ask(6000, lambda clock: Noisy(1e6, 1e6, clock))
    assert 6000 / seconds >= min_fraction * 64 / (LATENCY_S * 1.063)


def test_the_rate_is_resumed_after_a_minute_quota_was_used_up() -> None:
    class Minute(Limit):
        """Accepts 3,000 requests per minute at any rate, and then none until the next minute."""

        def ask(self) -> bool:
            if self.clock.now // 60 != self.filled // 60:
                self.level, self.filled = self.burst, self.clock.now
            self.level -= 1
            self.refused += self.level < 0
            return self.level >= 0

    limit, seconds = ask(8000, lambda clock: Minute(0, 3000, clock))
    assert seconds <= 180
    assert limit.refused <= 8000 * 0.05


def test_the_rate_follows_a_limit_that_drops_and_rises() -> None:
    class Moving(Limit):
        def ask(self) -> bool:
            self.rate = 100 if 10 < self.clock.now < 25 else 200
            return super().ask()

    limit, _ = ask(9000, lambda clock: Moving(200, 5, clock))
    end = limit.clock.now - 2  # the last refused rows come back after the others
    last = [moment for moment in limit.accepted if end - 8 < moment < end]
    assert limit.refused <= 9000 * 0.05
    assert len(last) / 8 >= 190


def test_tokens_per_minute_are_corrected_by_actual_usage() -> None:
    clock = Clock()

    async def run() -> None:
        limiter = RateLimiter(tokens_per_minute=60_000, clock=lambda: clock.now)
        for _ in range(100):
            await limiter.acquire(2000)
            limiter.accepted(clock.now, {}, 2000, 500)

    clock.loop.run_until_complete(run())
    clock.loop.close()
    assert 100 * 500 / 1000 * 0.9 <= clock.now <= 100 * 500 / 1000 * 1.1


def test_a_share_is_a_fraction_of_the_limit() -> None:
    clock = Clock()

    async def run() -> None:
        limiter = RateLimiter(requests_per_minute=6000, share=0.25, clock=lambda: clock.now)
        for _ in range(250):
            await limiter.acquire(1)

    clock.loop.run_until_complete(run())
    clock.loop.close()
    assert 9.8 <= clock.now <= 10.2


@pytest.mark.parametrize(("header", "is_valid"), [("6000", True), ("-1", False), ("", False), ("many", False)])
def test_a_limit_in_a_reply_header_is_used_and_invalid_values_are_ignored(header: str, is_valid: bool) -> None:
    clock = Clock()

    async def run() -> float:
        limiter = RateLimiter(clock=lambda: clock.now)
        limiter.accepted(0.0, {"x-ratelimit-limit-requests": header}, 1, 1)
        started = clock.now
        for _ in range(100):
            await limiter.acquire(1)
        return clock.now - started

    took = clock.loop.run_until_complete(run())
    clock.loop.close()
    assert took == pytest.approx(1.0, abs=0.1) if is_valid else took < 0.2
