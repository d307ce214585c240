"""Outcomes of a job's requests in memory: those of the store, those of this run, and those that are being asked."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from azdistill.contracts.requests import RequestConfig, Teacher
from azdistill.teacher.budget import Budget, billed_tokens, cost
from azdistill.teacher.replies import Answer, Outcome
from azdistill.teacher.requests import Request
from azdistill.teacher.store import StoreIndex


@dataclass
class Claim:
    """A request that one coroutine sends while others wait for the `outcome`, which the sender sets."""

    outcome: Outcome | None = None


class JobAnswers:
    """Outcomes of all requests of a job, shared by its teachers: a request is sent once, and stored answers count
    towards the budget."""

    def __init__(self, config: RequestConfig, index: StoreIndex, budget: Budget) -> None:
        self.config, self.index, self.budget = config, index, budget
        self.outcomes: dict[str, Outcome] = {}
        self.asking: dict[str, asyncio.Future[Outcome]] = {}
        self.stored_latencies_s: list[float] = []
        self.asked = 0

    def find(self, request: Request, teacher: Teacher) -> Outcome | None:
        """The outcome of a request in memory or in the store. None for a new request."""
        outcome = self.outcomes.get(request.key)
        if outcome is None and (stored := self.index.get(request.key, logprobs=False)):
            outcome = self.outcomes[request.key] = stored.outcome
            self.budget.spent += self.cost(outcome, request, teacher)
            if stored.latency_s is not None:
                self.stored_latencies_s.append(stored.latency_s)
        return outcome

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Send a request while other coroutines wait for its outcome. An exception of the block is raised there too."""
        claim, future = Claim(), asyncio.get_running_loop().create_future()
        self.asking[request.key] = future
        self.asked += 1
        try:
            yield claim
            assert claim.outcome
            self.outcomes[request.key] = _without_logprobs(claim.outcome)
            future.set_result(self.outcomes[request.key])
        except BaseException as error:
            future.cancel() if isinstance(error, asyncio.CancelledError) else future.set_exception(error)
            raise
        finally:
            del self.asking[request.key]
            if not future.cancelled():
                future.exception()  # marks it as retrieved: a future that no coroutine awaits would log an error

    def cost(self, outcome: Outcome, request: Request, teacher: Teacher) -> float:
        if not isinstance(outcome, Answer):
            return 0.0
        return cost(teacher, *billed_tokens(outcome, request.most_prompt_tokens, self.config.max_tokens))


def _without_logprobs(outcome: Outcome) -> Outcome:
    """Drop the log probabilities, which are many times as long as the text. The store has them."""
    return replace(outcome, logprobs=None) if isinstance(outcome, Answer) and outcome.logprobs else outcome
