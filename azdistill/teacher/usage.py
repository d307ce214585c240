"""What asking cost: calls, retries and their reasons, tokens, latency."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from azdistill.contracts.percentile import percentile
from azdistill.teacher.replies import Answer, Retry

USEFUL = "stop"
"""The only finish_reason of a whole answer."""


def is_useful(answer: Answer) -> bool:
    """Whether an answer is whole and not blank; another one is paid all the same."""
    return answer.finish_reason == USEFUL and bool(answer.completion.strip())


Cost = Callable[[int, int], float]


@dataclass
class CostByOutcome:
    """Calls of one outcome and what they were billed for. Tokens as the endpoint counted them."""

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
    """Counts of one run: of the answers bought in it, not of those found in the store."""

    cost: Cost = lambda prompt_tokens, completion_tokens: 0.0
    calls: int = 0
    preflight: CostByOutcome = field(default_factory=CostByOutcome)
    useful: CostByOutcome = field(default_factory=CostByOutcome)
    unusable: CostByOutcome = field(default_factory=CostByOutcome)
    retries: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)

    @property
    def bought(self) -> int:
        return self.useful.calls + self.unusable.calls

    def answered(self, answer: Answer, seconds: float) -> None:
        ledger = self.useful if is_useful(answer) else self.unusable
        ledger.add(answer, self.cost(answer.prompt_tokens, answer.completion_tokens))
        self.latencies_s.append(seconds)

    def checked(self, answer: Answer | None) -> float:
        """A preflight call, which is no row's and stands apart; returns its cost."""
        paid = answer or Answer("", USEFUL, 0, 0)
        cost = self.cost(paid.prompt_tokens, paid.completion_tokens)
        self.preflight.add(paid, cost)
        return cost

    def retried(self, reply: Retry) -> None:
        self.retries[reply.reason] += 1

    def mean_completion(self) -> int:
        """Tokens of an average answer; 0 before there is one."""
        return (self.useful.completion_tokens + self.unusable.completion_tokens) // max(self.bought, 1)

    def counts(self) -> dict[str, Any]:
        """The part of usage.json that this run counted; those of ranks side by side add up."""
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


def added(one: Any, other: Any) -> Any:
    """Counts of two in one, at every depth; what only one of them has is there as well."""
    if not isinstance(one, Mapping):
        return one + other
    both = {key: added(one[key], other[key]) for key in one if key in other}
    return {**one, **other, **both}


def latencies(seconds: Sequence[float]) -> dict[str, float | None]:
    """The latencies of usage.json, in seconds; None where there is no answer."""
    return {"latency_p50_s": percentile(seconds, 0.50), "latency_p95_s": percentile(seconds, 0.95)}
