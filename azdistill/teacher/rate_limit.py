"""Rate limits of one teacher: configured limits are kept exactly, others are learned from what the endpoint accepts."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping

# A timer that wakes late may catch up by this much. More would be a burst.
CATCH_UP_S = 0.02
# The longest sleep before a rate is read again, because it may have changed.
LONGEST_SLEEP_S = 0.05
# A refusal with a shorter Retry-After is a momentary collision, not a quota.
SHORTEST_RETRY_AFTER_S = 0.25
MINUTE_S = 60.0


class TokenBucket:
    """Allows `rate` units per second, evenly. Starts empty, because a burst would be refused."""

    def __init__(self, rate: float, now: float) -> None:
        self.rate, self._next = rate, now

    def wait_s(self, now: float) -> float:
        """Seconds until the next unit may pass."""
        return max(self._next - now, 0.0)

    def take(self, now: float, units: float) -> None:
        self._next = max(self._next, now - CATCH_UP_S) + units / self.rate

    def correct(self, units: float) -> None:
        """Count more (or fewer) units for a request that has passed, once their number is known."""
        self._next += units / self.rate


class AdaptiveRate(TokenBucket):
    """Adaptive rate in requests per second, for an endpoint that does not state its limit.

    Slow start: the rate grows with every request until requests are refused. After that, the rate is adjusted once per
    window of requests. Many refusals set the rate to the accepted rate, which is the limit, because more was sent. Few
    refusals keep the rate. Without refusals it grows, first by one percent, then by more per window. So a constant
    limit costs a few refusals, and a raised limit is detected.

    Refusals arrive before answers do. So a request without a reply counts as accepted when its refusal would have
    arrived. A cut of the rate that does not reduce the refusals is undone: they are noise, not a limit.
    """

    FIRST, LEAST, GROWTH = 400.0, 0.5, 20.0
    # A window ends after SHORTEST_S and ENOUGH requests, or after LONGEST_S. The first one after slow start is shorter.
    ENOUGH, SHORTEST_S, LONGEST_S, FIRST_S, FEWEST = 80, 0.25, 2.0, 0.1, 20
    # Refused fractions: few; allowed during slow start; maximum of noise; minimum of a closed endpoint.
    FEW, SLOW_START, NOISY, CLOSED = 0.012, 0.15, 0.2, 0.5
    # Until the limit is measured in a complete window, the rate is this multiple of the estimate.
    OVERSHOOT = 1.15
    SMALLEST_STEP, FIRST_STEP, LARGEST_STEP, NEAR, REOPENING, USED = 0.005, 0.05, 0.32, 0.9, 4.0, 0.8
    # Refusals are noise if this many successive cuts leave at least this fraction of them.
    AS_MANY, MOST_VAIN_CUTS = 0.7, 2
    # A window is evaluated after this multiple of the reply time of a refusal.
    REPLIES = 1.5
    # A window ends early after this many refusals and a quarter of its length.
    MANY = 16

    def __init__(self, now: float, share: float = 1.0) -> None:
        super().__init__(max(self.FIRST * share, self.LEAST), now)
        self.limit = math.inf  # the rate that was accepted when more was offered
        self.noise = 0.0  # the fraction that is refused at any rate
        self._refusal_s = self._answer_s = 0.0  # how long replies take, smoothed; 0 before the first one
        self._is_estimate = False  # whether `limit` was measured in the short first window only
        self._step = self.SMALLEST_STEP
        self._vain_cuts = 0
        self._before_cut: tuple[float, float] | None = None  # rate and refused fraction
        self._start_window(now)

    def _start_window(self, now: float) -> None:
        """Count requests that are sent from now on. Replies to earlier ones belong to another rate."""
        self._since, self._until = now, math.inf
        self._sent = self._refused = self._accepted = 0.0

    def take(self, now: float, units: float) -> None:
        had_to_wait = self._next >= now - CATCH_UP_S
        super().take(now, units)
        if self.limit == math.inf and had_to_wait:
            self.rate += self.GROWTH
        if self._until == math.inf:
            self._sent += 1
            self._end_window_if_due(now)

    def seed(self, rate: float) -> None:
        """Use the limit that an endpoint states, until requests are refused."""
        if rate > 0 and self.limit == math.inf:
            self.limit, self.rate = rate, max(min(self.rate, rate), self.LEAST)
            self._start_window(self._since)

    def receive(self, sent_at: float, now: float, *, accepted: bool) -> None:
        """Count the reply to a request that was sent at `sent_at`."""
        is_counted = self._since <= sent_at <= self._until
        if accepted:
            self._answer_s = _smoothed(self._answer_s, now - sent_at)
            self._accepted += is_counted
        else:
            self._refusal_s = _smoothed(self._refusal_s, min(now - sent_at, self.LONGEST_S))
            if self.limit == math.inf:
                self._refused += 1
                if self._refused > self._tolerated():
                    self._leave_slow_start(now)
            elif is_counted:
                self._refused += 1
                if self._refused >= max(self.MANY, self._sent / 4):
                    self._until = min(self._until, now)
                    self._adjust()
                    self._start_window(now)
        self._end_window_if_due(now)

    def _end_window_if_due(self, now: float) -> None:
        age = now - self._since
        if self.limit == math.inf:
            self._forget_half_if_due(age)
        elif self._until == math.inf and self._is_long_enough(age):
            self._until = now
            if self._refused > self._tolerated():  # more refusals may arrive, so this is the most that was accepted
                self.rate = max(min(self.rate, self._sent / age * (1 - self._refused_fraction())), self.LEAST)
        if now >= self._until + self.REPLIES * self._refusal_s:
            self._adjust()
            self._start_window(now)

    def _forget_half_if_due(self, age: float) -> None:
        """During slow start old replies count less and less."""
        if self._sent >= self.ENOUGH:
            self._since, self._sent, self._refused = self._since + age / 2, self._sent / 2, self._refused / 2

    def _is_long_enough(self, age: float) -> bool:
        if self._is_estimate:
            return age >= self.FIRST_S and self._sent >= self.FEWEST
        return age >= self.LONGEST_S or (age >= self.SHORTEST_S and self._sent >= self.ENOUGH)

    def _refused_fraction(self) -> float:
        """Fraction of the window's requests that were refused. One without a reply counts as accepted if refusals are
        quicker than answers."""
        is_unknown = 0 < self._answer_s < 2 * self._refusal_s
        return self._refused / max(self._accepted + self._refused if is_unknown else self._sent, 1)

    def _tolerated(self) -> float:
        """Number of refusals that are no sign of a limit: a few, and the noise plus two standard deviations."""
        few = self.SLOW_START if self.limit == math.inf else self.FEW
        return max(2.0, self._sent * (few + self.noise) + 2 * math.sqrt(self._sent * self.noise))

    def _leave_slow_start(self, now: float) -> None:
        """The bucket of the endpoint is empty. Halve the rate for a short window, to estimate the accepted rate."""
        offered = self._sent / max(now - self._since, self._sent / self.rate)
        self.rate = self.limit = max(offered / 2, self.LEAST)
        self._is_estimate = True
        self._start_window(now)

    def _adjust(self) -> None:
        """Adjust the rate to the result of the window that ended."""
        before, self._before_cut = self._before_cut, None
        was_estimate, self._is_estimate = self._is_estimate, False
        duration, refused = self._until - self._since, self._refused_fraction()
        if was_estimate and self._refused <= self._tolerated() and self._sent >= self.USED * duration * self.rate:
            self.rate *= 2  # the limit is higher: something else delayed requests when slow start ended
            self.limit, self._is_estimate = self.rate, True
            return
        self.noise += (min(refused, self.noise) - self.noise) / 5
        is_vain = before is not None and before[1] * self.AS_MANY < refused < self.NOISY
        self._vain_cuts = self._vain_cuts + 1 if is_vain else 0
        if before and self._vain_cuts == self.MOST_VAIN_CUTS:
            self.rate, self.limit, self.noise = before[0], math.inf, max(self.noise, refused)
            self._vain_cuts = 0
        elif self._refused > min(self._tolerated(), self._sent / 2):
            if refused < self.NOISY and not was_estimate:
                self._before_cut = self.rate, refused
            offered = self._sent / duration
            self._cut(offered, offered * (1 - refused) * (self.OVERSHOOT if was_estimate else 1), refused)
            self._step = self.FIRST_STEP if was_estimate else self.SMALLEST_STEP
        elif self._sent / duration < self.USED * self.rate:
            pass  # something else holds the requests back: whether more would be accepted is unknown
        elif self.rate < self.NEAR * self.limit < math.inf:
            self.rate = min(self.rate * self.REOPENING, self.NEAR * self.limit)
        elif self._refused <= self._sent * self.noise:
            self.rate *= 1 + self._step
            self._step = min(self._step * 2, self.LARGEST_STEP)
        else:
            self.rate *= 1 + self.SMALLEST_STEP - max(refused - self.noise, 0.0)
            self._step = self.SMALLEST_STEP

    def _cut(self, offered: float, accepted: float, refused: float) -> None:
        """Lower the rate to what was accepted. That is the limit, unless the endpoint seems closed for a while."""
        if accepted >= self.limit / 2 if offered >= self.NEAR * self.limit else refused <= self.CLOSED:
            self.limit = accepted
        self.rate = max(accepted, self.LEAST)


def _smoothed(mean: float, value: float) -> float:
    return mean + (value - mean) / 4 if mean else value


class RateLimiter:
    """Limits of one teacher in requests and tokens per minute, as Azure states them. None is learned.

    `share` is the fraction of them that this process may use: ranks of one job share a quota.
    """

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock, self._share, self._line, self._is_off = clock, share, asyncio.Lock(), False
        now = clock()
        self._requests = (
            TokenBucket(requests_per_minute / MINUTE_S * share, now)
            if requests_per_minute
            else AdaptiveRate(now, share)
        )
        self._tokens = TokenBucket(tokens_per_minute / MINUTE_S * share, now) if tokens_per_minute else None

    async def acquire(self, tokens: int) -> None:
        """Wait until a request of `tokens` tokens, answer included, may be sent. One waits at a time, so that a new
        rate holds from the very next request on."""
        async with self._line:
            while (wait_s := self._wait_s()) > 0:
                await asyncio.sleep(min(wait_s, LONGEST_SLEEP_S))
            now = self._clock()
            self._requests.take(now, 1)
            if self._tokens:
                self._tokens.take(now, tokens)

    def accepted(self, sent_at: float, headers: Mapping[str, str], reserved: int, tokens: int) -> None:
        """Count an answer of `tokens` tokens, for which `reserved` were taken."""
        if self._tokens:
            self._tokens.correct(tokens - reserved)
        if isinstance(self._requests, AdaptiveRate):
            self._requests.seed(_number(headers.get("x-ratelimit-limit-requests")) / MINUTE_S * self._share)
            self._requests.receive(sent_at, self._clock(), accepted=True)

    def refused(self, sent_at: float, reserved: int, after_s: float | None = None) -> None:
        """Count a request that a rate limit refused, which therefore used no tokens. `after_s` is its Retry-After."""
        if self._tokens:
            self._tokens.correct(-reserved)
        if isinstance(self._requests, AdaptiveRate) and (after_s is None or after_s >= SHORTEST_RETRY_AFTER_S):
            self._requests.receive(sent_at, self._clock(), accepted=False)

    def turn_off(self) -> None:
        """Stop limiting: waiting requests return immediately, and are not sent."""
        self._is_off = True

    def _wait_s(self) -> float:
        if self._is_off:
            return 0.0
        now = self._clock()
        return max(self._requests.wait_s(now), self._tokens.wait_s(now) if self._tokens else 0.0)


def _number(header: str | None) -> float:
    """The number in a header. 0 if the header is absent or no number from 1 (negative ones occur)."""
    try:
        number = float(header or 0)
    except ValueError:
        return 0.0
    return number if 1 <= number < math.inf else 0.0
