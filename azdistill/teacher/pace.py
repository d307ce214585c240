"""When the next request may go: at rates that were told, or at one that is learned from what is accepted."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping

CATCH_UP_S = 0.02
"""A timer that wakes late may catch up by so much; more would be a burst."""
LOOK_AGAIN_S = 0.05
"""The longest sleep before a rate that has changed meanwhile is looked at."""
MINUTE_S = 60.0


class Gate:
    """Lets so many units a second through, evenly. Starts empty: a burst is what limits are there to refuse."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self._next = rate, now

    def wait(self, now: float) -> float:
        """Seconds until the next unit may pass."""
        return max(self._next - now, 0.0)

    def take(self, now: float, units: float) -> None:
        self._next = max(self._next, now - CATCH_UP_S) + units / self.rate

    def correct(self, units: float) -> None:
        """Count more units (or fewer) for what has passed, now that their number is known."""
        self._next += units / self.rate


class LearnedRate(Gate):
    """A rate of requests that nobody told: grown while all is accepted, cut to what was accepted when it is not.

    Growth is slow near the rate that was refused last and faster the longer ago that was,
    so a steady limit costs a refusal now and then, and a limit that was raised is found.
    """

    FIRST, LEAST = 200.0, 1.0
    STEP_S, RAMP, CREEP = 0.25, 2.0, 0.005
    WINDOW_S, FEEDBACK_S = 1.0, 0.5
    BELOW, NEAR, USED = 0.985, 0.9, 0.5

    def __init__(self, now: float) -> None:
        super().__init__(self.FIRST, now)
        self.known = math.inf  # the rate that was accepted when more was refused
        self._accepted: deque[float] = deque()
        self._started = self._stepped = self._cut = now

    def seed(self, rate: float) -> None:
        """Take an endpoint's own word for its limit until something was refused."""
        if rate > 0 and self.known == math.inf:
            self.known, self.rate = rate, min(self.rate, rate * self.BELOW)

    def accepted(self, now: float) -> None:
        self._accepted.append(now)
        if now - self._stepped >= self.STEP_S:
            self._stepped = now
            self._grow(now)

    def refused(self, now: float) -> None:
        """A refusal by a rate limit. Those that were on their way when the rate was cut don't cut it again."""
        if now - self._cut < self.FEEDBACK_S:
            return
        self._cut = self._stepped = now
        measured = self.measured(now)
        self.known = measured if self.known == math.inf else max(measured, self.known / 2)
        self.rate = max(min(measured, self.rate) * self.BELOW, self.LEAST)

    def measured(self, now: float) -> float:
        """Requests a second that were accepted of late."""
        window = min(self.WINDOW_S, max(now - self._started, self.STEP_S))
        while self._accepted and self._accepted[0] < now - window:
            self._accepted.popleft()
        return len(self._accepted) / window

    def _grow(self, now: float) -> None:
        if self.measured(now) < self.USED * self.rate:
            return  # something else holds the requests back: that more would be accepted is not known
        if self.rate < self.NEAR * self.known:
            self.rate = min(self.rate * self.RAMP, self.NEAR * self.known)
        else:
            self.rate *= 1 + self.CREEP * self.STEP_S * (now - self._cut)


class Pace:
    """One teacher's pace. Limits are a minute's, as Azure states them; None is learned.

    `share` is the part of them that this process may use: nodes that ask side by side share a quota.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._share, self._line = clock, share, asyncio.Lock()
        told = requests_per_minute and requests_per_minute / MINUTE_S * share
        self._requests = Gate(told, clock()) if told else LearnedRate(clock())
        tokens = tokens_per_minute and tokens_per_minute / MINUTE_S * share
        self._tokens = Gate(tokens, clock()) if tokens else None

    async def turn(self, tokens: int) -> None:
        """Wait until a request of so many tokens, answer included, may go. One waits at a time, so that a rate
        that changes holds from the very next request on."""
        async with self._line:
            while (wait := self._wait()) > 0:
                await asyncio.sleep(min(wait, LOOK_AGAIN_S))
            now = self._clock()
            self._requests.take(now, 1)
            if self._tokens:
                self._tokens.take(now, tokens)

    def accepted(self, headers: Mapping[str, str], reserved: int, tokens: int) -> None:
        """An answer came, of `tokens` where `reserved` were counted at its turn."""
        if self._tokens:
            self._tokens.correct(tokens - reserved)
        if isinstance(self._requests, LearnedRate):
            self._requests.seed(_number(headers.get("x-ratelimit-limit-requests")) / MINUTE_S * self._share)
            self._requests.accepted(self._clock())

    def refused(self, reserved: int, after_s: float | None = None) -> None:
        """A rate limit refused a request, which therefore used none of the tokens. One that may come again
        at once (`after_s`, from Retry-After) met a moment's crowd and says nothing of a quota."""
        if self._tokens:
            self._tokens.correct(-reserved)
        if isinstance(self._requests, LearnedRate) and (after_s is None or after_s >= LearnedRate.FEEDBACK_S):
            self._requests.refused(self._clock())

    def _wait(self) -> float:
        now = self._clock()
        return max(self._requests.wait(now), self._tokens.wait(now) if self._tokens else 0.0)


def _number(text: str | None) -> float:
    """A header's number; 0 where it holds none, or one that means nothing (negative ones were seen)."""
    try:
        return max(float(text or 0), 0.0)
    except ValueError:
        return 0.0
