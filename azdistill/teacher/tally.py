"""What asking cost: calls, retries and their reasons, tokens, latency."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from azdistill.teacher.replies import Answer, Retry


@dataclass
class Tally:
    """Counts of one run. Tokens and latencies are of the answers bought in it, not of those found in the store."""

    calls: int = 0
    bought: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)

    def answered(self, answer: Answer, seconds: float) -> None:
        self.bought += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.latencies_s.append(seconds)

    def retried(self, reply: Retry) -> None:
        self.retries[reply.reason] += 1

    def usage(self) -> dict[str, Any]:
        """The part of usage.json that this run measured. Latencies in seconds, None when nothing was bought."""
        return {
            "calls": self.calls,
            "retries": dict(self.retries),
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "latency_p50_s": percentile(self.latencies_s, 0.50),
            "latency_p95_s": percentile(self.latencies_s, 0.95),
        }


def percentile(values: Sequence[float], part: float) -> float | None:
    """The nearest-rank percentile; None of no values."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(part * len(values)) - 1, 0)]
