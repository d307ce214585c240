"""Usage counters of one teacher: calls, retries by reason, tokens, costs and latencies."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from azdistill.contracts.percentile import percentile
from azdistill.teacher.replies import SCORED, Answer, Retry

# The only finish_reason of a complete answer.
COMPLETE = "stop"


def is_useful(answer: Answer) -> bool:
    """True if an answer is complete and not blank, or has scores. Other answers are billed all the same."""
    return answer.finish_reason == SCORED or (answer.finish_reason == COMPLETE and bool(answer.completion.strip()))


@dataclass
class CostByOutcome:
    """Calls with one outcome, with their cost and the tokens that the endpoint reported."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0

    def add(self, answer: Answer, cost: float) -> None:
        self.calls += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens
        self.cost += cost


@dataclass
class UsageCounter:
    """Counts the answers that one run bought from one teacher, not those that were in the store before."""

    calls: int = 0
    preflight: CostByOutcome = field(default_factory=CostByOutcome)
    useful: CostByOutcome = field(default_factory=CostByOutcome)
    unusable: CostByOutcome = field(default_factory=CostByOutcome)
    retries: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def bought(self) -> int:
        return self.useful.calls + self.unusable.calls

    def answered(self, answer: Answer, cost: float, latency_s: float) -> None:
        (self.useful if is_useful(answer) else self.unusable).add(answer, cost)
        self.latencies_s.append(latency_s)

    def retried(self, reply: Retry) -> None:
        self.retries[reply.reason] += 1

    def mean_completion(self) -> int:
        """Mean number of tokens of an answer, 0 before the first one."""
        return (self.useful.completion_tokens + self.unusable.completion_tokens) // max(self.bought, 1)

    def counts(self) -> dict[str, Any]:
        """The fields of usage.json that this run counts. Those of several teachers or ranks add up."""
        return {
            "calls": self.calls,
            "retries": dict(self.retries),
            "prompt_tokens": self.useful.prompt_tokens + self.unusable.prompt_tokens,
            "completion_tokens": self.useful.completion_tokens + self.unusable.completion_tokens,
            "ledger": {
                "useful": asdict(self.useful),
                "unusable": asdict(self.unusable),
                "retried": {"calls": self.retries.total()},
                "preflight": asdict(self.preflight),
            },
        }


def add_counts(first: Any, second: Any) -> Any:
    """Sum of two nested mappings of numbers. A key that only one of them has is copied."""
    if not isinstance(first, Mapping):
        return first + second
    common = {key: add_counts(first[key], second[key]) for key in first if key in second}
    return {**first, **second, **common}


def latency_percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    """The latencies of usage.json, in seconds; None without answers."""
    return {"latency_p50_s": percentile(seconds, 0.50), "latency_p95_s": percentile(seconds, 0.95)}
