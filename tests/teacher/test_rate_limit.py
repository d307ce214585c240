"""Rates that are told and rates that are learned, on a clock of the test's own."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

import pytest

from azdistill.teacher.rate_limit import RateLimiter

LATENCY_S = 0.2


class Clock:
    """Time that passes only when everyone sleeps: asyncio's own loop, driven to the next timer at once."""

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


def ask(rows: int, limit_of: Callable[[Clock], Limit], in_flight: int = 64, **told: int) -> tuple[Limit, float]:
    """Ask so many rows, refused ones again after a second; returns the endpoint and the seconds it took."""
    clock = Clock()
    limit, luck = limit_of(clock), random.Random(1)

    async def run() -> None:
        pace, queue = RateLimiter(**told, clock=lambda: clock.now), deque(range(rows))
        done = 0

        async def work() -> None:
            nonlocal done
            while done < rows:
                if not queue:
                    await asyncio.sleep(0.05)
                    continue
                row = queue.popleft()
                await pace.acquire(100)
                sent_at, accepted = clock.now, limit.ask()
                await asyncio.sleep(LATENCY_S * luck.lognormvariate(0, 0.35))
                if accepted:
                    pace.accepted(sent_at, {}, 100, 100)
                    done += 1
                else:
                    pace.refused(sent_at, 100)
                    clock.loop.call_later(1.0, queue.append, row)

        await asyncio.gather(*(work() for _ in range(in_flight)))

    clock.loop.run_until_complete(run())
    clock.loop.close()
    return limit, clock.now


@pytest.mark.parametrize("burst", [1, 10, 100])
def test_a_told_rate_is_kept_exactly_and_used(burst: float) -> None:
    limit, seconds = ask(3000, lambda clock: Limit(100, max(burst, 3), clock), requests_per_minute=6000)
    assert limit.refused <= 3000 * 0.005
    assert 3000 / seconds >= 97


@pytest.mark.parametrize("burst", [5, 100])
def test_a_rate_that_nobody_told_is_learned(burst: float) -> None:
    limit, seconds = ask(6000, lambda clock: Limit(100, burst, clock))
    assert limit.refused <= 6000 * 0.05
    assert 6000 / seconds >= 93


def test_without_a_limit_the_places_in_flight_are_what_holds_requests_back() -> None:
    _, seconds = ask(6000, lambda clock: Limit(1e6, 1e6, clock))
    assert 6000 / seconds >= 0.9 * 64 / (LATENCY_S * 1.063)  # the mean of that lognormal


@pytest.mark.parametrize(("part", "least"), [(0.03, 0.75), (0.1, 0.65)])
def test_refusals_that_have_nothing_to_do_with_the_rate_are_no_limit(part: float, least: float) -> None:
    class Noisy(Limit):
        def ask(self) -> bool:
            self.luck = getattr(self, "luck", random.Random(2))
            return self.luck.random() >= part and super().ask()

    _, seconds = ask(6000, lambda clock: Noisy(1e6, 1e6, clock))
    assert 6000 / seconds >= least * 64 / (LATENCY_S * 1.063)


def test_a_door_that_is_shut_for_the_rest_of_a_minute_opens_to_the_rate_before() -> None:
    class Minute(Limit):
        """3,000 in each minute, as fast as they come, and then nothing."""

        def ask(self) -> bool:
            if self.clock.now // 60 != self.filled // 60:
                self.level, self.filled = self.burst, self.clock.now
            self.level -= 1
            self.refused += self.level < 0
            return self.level >= 0

    limit, seconds = ask(8000, lambda clock: Minute(0, 3000, clock))
    assert seconds <= 180
    assert limit.refused <= 8000 * 0.05


def test_a_limit_that_drops_and_rises_again_is_followed() -> None:
    class Moving(Limit):
        def ask(self) -> bool:
            self.rate = 100 if 10 < self.clock.now < 25 else 200
            return super().ask()

    limit, _ = ask(9000, lambda clock: Moving(200, 5, clock))
    end = limit.clock.now - 2  # the last refused rows come back after the others
    last = [moment for moment in limit.accepted if end - 8 < moment < end]
    assert limit.refused <= 9000 * 0.05
    assert len(last) / 8 >= 190


def test_tokens_a_minute_are_kept_by_what_answers_really_took() -> None:
    clock = Clock()

    async def run() -> None:
        pace = RateLimiter(tokens_per_minute=60_000, clock=lambda: clock.now)
        for _ in range(100):
            await pace.acquire(2000)
            pace.accepted(clock.now, {}, 2000, 500)

    clock.loop.run_until_complete(run())
    clock.loop.close()
    assert 100 * 500 / 1000 * 0.9 <= clock.now <= 100 * 500 / 1000 * 1.1


def test_a_share_of_a_limit_is_that_part_of_it() -> None:
    clock = Clock()

    async def run() -> None:
        pace = RateLimiter(requests_per_minute=6000, share=0.25, clock=lambda: clock.now)
        for _ in range(250):
            await pace.acquire(1)

    clock.loop.run_until_complete(run())
    clock.loop.close()
    assert 9.8 <= clock.now <= 10.2


@pytest.mark.parametrize(("header", "known"), [("6000", True), ("-1", False), ("", False), ("many", False)])
def test_an_endpoint_s_word_for_its_limit_is_a_start_and_nonsense_is_none(header: str, known: bool) -> None:
    clock = Clock()

    async def run() -> float:
        pace = RateLimiter(clock=lambda: clock.now)
        pace.accepted(0.0, {"x-ratelimit-limit-requests": header}, 1, 1)
        started = clock.now
        for _ in range(100):
            await pace.acquire(1)
        return clock.now - started

    took = clock.loop.run_until_complete(run())
    clock.loop.close()
    assert took == pytest.approx(1.0, abs=0.1) if known else took < 0.2
