"""Cost of answers, and a budget that is never exceeded. Prices and budget are in the job's own currency."""

import asyncio

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.requests import Teacher
from azdistill.teacher.replies import Answer

MILLION = 1_000_000


class BudgetReached(AzdistillError):
    """No further request is sent: its answer could exceed the budget."""

    code = "budget_reached"


def cost(teacher: Teacher, prompt_tokens: int, completion_tokens: int) -> float:
    """Cost of one call; 0 where the price is unknown."""
    return (prompt_tokens * (teacher.input_price or 0) + completion_tokens * (teacher.output_price or 0)) / MILLION


def billed_tokens(answer: Answer, most_prompt_tokens: int, max_tokens: int) -> tuple[int, int]:
    """Prompt and completion tokens to charge for an answer.

    They are those that the endpoint reports. A count that it does not report is replaced by what was reserved: the most
    that the prompt and the answer can have.
    """
    return answer.prompt_tokens or most_prompt_tokens, answer.completion_tokens or max_tokens


class Budget:
    """One budget for all teachers of a job: counts costs, and reserves the highest possible cost of each call in
    flight. A budget requires prices, which the job model checks.
    """

    def __init__(self, budget: float | None = None, spent: float = 0.0) -> None:
        self.budget, self.spent, self.reserved = budget, spent, 0.0
        self._in_flight, self._settled = 0, asyncio.Event()

    async def reserve(self, max_cost: float) -> float:
        """Reserve `max_cost` for a call and return it.

        Waits while calls in flight may turn out cheaper. Raises BudgetReached when none is in flight any more.
        """
        while self.budget is not None and self.spent + self.reserved + max_cost > self.budget:
            if not self._in_flight:
                raise BudgetReached(
                    f"{self.spent:.4f} is spent, and the next answer may cost {max_cost:.4f}",
                    field=("teacher", "budget"),
                    value=self.budget,
                    fix="raise the budget and run again; stored answers are not paid for again",
                )
            self._settled.clear()
            await self._settled.wait()
        self.reserved += max_cost
        self._in_flight += 1
        return max_cost

    def settle(self, reserved: float, cost: float) -> None:
        """Replace the reservation of a call by its cost. A call without a reply may have been billed: it costs all
        that was reserved."""
        self._in_flight -= 1
        self.reserved = self.reserved - reserved if self._in_flight else 0.0
        self.spent += cost
        self._settled.set()

    def status(self) -> str:
        """Text for the progress line; empty where nothing has a price."""
        if not (self.spent or self.budget):
            return ""
        return f"spent {self.spent:.2f}" + (f" of {self.budget:g}" if self.budget is not None else "")
