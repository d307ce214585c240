"""Rate limits of a gateway: one token bucket for requests, one for tokens."""

import math
import time

from azdistill.contracts.simulation import SimulatedLimits

MINUTE_S = 60.0


class Bucket:
    """Refills evenly and starts full.

    A request is accepted if one unit is left, and then takes all that it needs. So the remaining units can be
    negative, as on real endpoints.
    """

    def __init__(self, per_minute: int, burst_s: float, now: float) -> None:
        self.per_minute, self._rate = per_minute, per_minute / MINUTE_S
        self._capacity = max(self._rate * burst_s, 1.0)
        self._remaining, self._updated_at = self._capacity, now

    def remaining(self, now: float) -> float:
        refilled = self._remaining + (now - self._updated_at) * self._rate
        self._remaining, self._updated_at = min(refilled, self._capacity), now
        return self._remaining

    def wait_s(self, now: float) -> float:
        """Seconds until the next request is accepted."""
        return max(1 - self.remaining(now), 0.0) / self._rate

    def take(self, units: int) -> None:
        self._remaining -= units


class Limiter:
    """The limits of one endpoint. A rejected request takes nothing from them."""

    def __init__(self, limits: SimulatedLimits) -> None:
        self._limits = limits
        per_minute = {"requests": limits.requests_per_minute, "tokens": limits.tokens_per_minute}
        self._buckets = {
            name: Bucket(rate, limits.burst_s, time.monotonic()) for name, rate in per_minute.items() if rate
        }

    def wait_s(self) -> float:
        """Seconds until a request is accepted; 0 means now."""
        now = time.monotonic()
        return max((bucket.wait_s(now) for bucket in self._buckets.values()), default=0.0)

    def count_request(self, tokens: int) -> None:
        """Count a request; `tokens` are those of its prompt and its token limit."""
        self._take("requests", 1)
        if self._limits.tokens_counted == "asked":
            self._take("tokens", tokens)

    def count_answer(self, tokens: int) -> None:
        if self._limits.tokens_counted == "answered":
            self._take("tokens", tokens)

    def headers(self) -> dict[str, str]:
        if self._limits.headers == "absent":
            return {}
        now, headers = time.monotonic(), dict[str, str]()
        for name, bucket in self._buckets.items():
            remaining = -1 if self._limits.headers == "negative" else math.floor(bucket.remaining(now))
            headers[f"x-ratelimit-limit-{name}"] = str(bucket.per_minute)
            headers[f"x-ratelimit-remaining-{name}"] = str(remaining)
        return headers

    def _take(self, name: str, units: int) -> None:
        if name in self._buckets:
            self._buckets[name].take(units)
