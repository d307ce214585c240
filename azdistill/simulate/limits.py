"""Rate limits as a gateway keeps them: one bucket for requests, one for tokens."""

import math
import time
from collections.abc import Callable

from azdistill.contracts.simulation import SimulatedLimits
from azdistill.simulate.wire import ChatRequest, prompt_tokens

MINUTE_S = 60.0


class Bucket:
    """Fills evenly and starts full. A request is let in while one unit is left and then takes all it needs, so
    what is left can be below zero, as seen on real endpoints."""

    def __init__(self, per_minute: int, burst_s: float, now: float) -> None:
        self.per_minute, self._rate = per_minute, per_minute / MINUTE_S
        self._most = max(self._rate * burst_s, 1.0)
        self._left, self._at = self._most, now

    def left(self, now: float) -> float:
        self._left, self._at = min(self._left + (now - self._at) * self._rate, self._most), now
        return self._left

    def wait_s(self, now: float) -> float:
        """Seconds until the next request is let in."""
        return max(1 - self.left(now), 0.0) / self._rate

    def take(self, units: int) -> None:
        self._left -= units


class Limiter:
    """The limits of one endpoint. What it refuses takes nothing from them."""

    def __init__(self, limits: SimulatedLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        per_minute = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self._buckets = {name: Bucket(rate, limits.burst_s, clock()) for name, rate in per_minute.items() if rate}

    def wait_s(self) -> float:
        """Seconds until a request is let in; 0 when it may come now."""
        now = self._clock()
        return max((bucket.wait_s(now) for bucket in self._buckets.values()), default=0.0)

    def admitted(self, asked: ChatRequest) -> None:
        self._take("requests", 1)
        if self._limits.tokens_counted == "asked":
            self._take("tokens", prompt_tokens(asked.messages) + (asked.token_limit or 0) * asked.n)

    def answered(self, tokens: int) -> None:
        if self._limits.tokens_counted == "answered":
            self._take("tokens", tokens)

    def headers(self) -> dict[str, str]:
        if self._limits.headers == "absent":
            return {}
        now, found = self._clock(), dict[str, str]()
        for name, bucket in self._buckets.items():
            remaining = -1 if self._limits.headers == "negative" else math.floor(bucket.left(now))
            found[f"x-ratelimit-limit-{name}"] = str(bucket.per_minute)
            found[f"x-ratelimit-remaining-{name}"] = str(remaining)
        return found

    def _take(self, name: str, units: int) -> None:
        if name in self._buckets:
            self._buckets[name].take(units)
