"""When the next request may go: at rates that were told, or at one that is learned from what is accepted."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

CATCH_UP_S = 0.02
"""A timer that wakes late may catch up by so much; more would be a burst."""
LOOK_AGAIN_S = 0.05
"""The longest sleep before a rate that has changed meanwhile is looked at."""
MINUTE_S = 60.0


class TokenBucket:
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


@dataclass
class Window:
    """What became of the requests that were sent since a moment. Those sent before it tell of an earlier rate."""

    since: float
    sent: int = 0
    accepted: int = 0
    refused: int = 0

    @property
    def answered(self) -> int:
        return self.accepted + self.refused

    @property
    def refused_part(self) -> float:
        return self.refused / max(self.answered, 1)


@dataclass(frozen=True)
class Trial:
    """What was before a cut: the rates, and the part that was refused."""

    rate: float
    known: float
    refused: float


class AdaptiveRate(TokenBucket):
    """A rate of requests that nobody told: grown while all is accepted, cut to what was accepted when it is not.

    Growth is slow near the rate that was refused last and faster the longer ago that was, so a
    steady limit costs a refusal now and then, and a limit that was raised is found. A cut that
    does not lessen the refusals is undone: they are noise, and no limit.
    """

    FIRST, LEAST = 200.0, 1.0
    ENOUGH, SHORT_S, LONG_S = 60, 0.25, 2.0
    TOLERATED, DOUBLING, NOISY, CLOSED = 0.02, 0.15, 0.2, 0.5
    BELOW, NEAR, FAR, USED = 0.985, 0.9, 0.25, 0.5
    CREEP = 0.005

    def __init__(self, now: float, share: float = 1.0) -> None:
        super().__init__(max(self.FIRST * share, self.LEAST), now)
        self.known = math.inf  # the rate that was accepted when more was refused
        self.noise = 0.0  # the part that is refused whatever the rate
        self._window, self._cut = Window(now), now
        self._trial: Trial | None = None

    def take(self, now: float, units: float) -> None:
        super().take(now, units)
        self._window.sent += 1

    def seed(self, rate: float) -> None:
        """Take an endpoint's own word for its limit until something was refused."""
        if rate > 0 and self.known == math.inf:
            self.known, self.rate = rate, min(self.rate, rate * self.BELOW)

    def hear(self, sent_at: float, now: float, *, accepted: bool) -> None:
        """What became of a request that was sent at a time."""
        window = self._window
        if sent_at < window.since:
            return
        window.accepted += accepted
        window.refused += not accepted
        age = now - window.since
        if age >= self.LONG_S or (age >= self.SHORT_S and window.answered >= self.ENOUGH):
            self._window = Window(now)
            self._decide(window, now)

    def _decide(self, window: Window, now: float) -> None:
        trial, self._trial = self._trial, None
        refused = window.refused_part
        if trial and trial.refused / 2 < refused < self.NOISY:
            self.rate, self.known, self.noise = trial.rate, trial.known, max(self.noise, refused)
        elif window.refused > self._tolerated(window.answered):
            self._lower(window, now)
        elif window.sent / (now - window.since) >= self.USED * self.rate:
            self._raise(window, now)
        # else something else holds the requests back: that more would be accepted is not known

    def _tolerated(self, answered: int) -> float:
        """Refusals that say nothing: one, a few in a hundred, and what chance makes of the noise. While the rate
        doubles, a limit that it meets refuses far more than that."""
        part = self.TOLERATED if self.known < math.inf else self.DOUBLING
        return max(1.0, answered * (part + self.noise) + 2 * math.sqrt(answered * self.noise))

    def _lower(self, window: Window, now: float) -> None:
        refused, accepted = window.refused_part, window.sent * (1 - window.refused_part) / (now - window.since)
        self._trial = Trial(self.rate, self.known, refused) if refused < self.NOISY else None
        if refused <= self.CLOSED or self.known == math.inf:
            self.known = accepted  # a door that is shut for a while tells nothing of the rate when it opens
        self.rate = max(min(accepted, self.rate) * self.BELOW, self.LEAST)
        self._cut = now

    def _raise(self, window: Window, now: float) -> None:
        if self.rate < self.NEAR * self.known:
            factor = 4.0 if self.rate < self.FAR * self.known < math.inf else 2.0
            self.rate = min(self.rate * factor, self.NEAR * self.known)
        else:
            self.rate *= 1 + self.CREEP * (now - self._cut) * (now - window.since)


class RateLimiter:
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
        self._requests = TokenBucket(told, clock()) if told else AdaptiveRate(clock(), share)
        tokens = tokens_per_minute and tokens_per_minute / MINUTE_S * share
        self._tokens = TokenBucket(tokens, clock()) if tokens else None

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

    def accepted(self, sent_at: float, headers: Mapping[str, str], reserved: int, tokens: int) -> None:
        """An answer came, of `tokens` where `reserved` were counted at its turn."""
        if self._tokens:
            self._tokens.correct(tokens - reserved)
        if isinstance(self._requests, AdaptiveRate):
            self._requests.seed(_number(headers.get("x-ratelimit-limit-requests")) / MINUTE_S * self._share)
            self._requests.hear(sent_at, self._clock(), accepted=True)

    def refused(self, sent_at: float, reserved: int, after_s: float | None = None) -> None:
        """A rate limit refused a request, which therefore used none of the tokens. One that may come again
        at once (`after_s`, from Retry-After) met a moment's crowd and says nothing of a quota."""
        if self._tokens:
            self._tokens.correct(-reserved)
        if isinstance(self._requests, AdaptiveRate) and (after_s is None or after_s >= AdaptiveRate.SHORT_S):
            self._requests.hear(sent_at, self._clock(), accepted=False)

    def _wait(self) -> float:
        now = self._clock()
        return max(self._requests.wait(now), self._tokens.wait(now) if self._tokens else 0.0)


def _number(text: str | None) -> float:
    """A header's number; 0 where it holds none, or one that means nothing (negative ones were seen)."""
    try:
        return max(float(text or 0), 0.0)
    except ValueError:
        return 0.0
