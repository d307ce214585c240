"""What answers cost, and the budget that is never exceeded. Prices and budget are in the spec's own currency."""

import asyncio

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.teacher import Teacher

MILLION = 1_000_000


class BudgetReached(AzdistillError):
    """Nothing more may be asked: the budget could be exceeded by the next answer."""


class Purse:
    """Counts what was spent, and reserves for what is in flight the most that it can cost.

    Without prices nothing is counted; with a budget there have to be prices (the spec says so).
    """

    def __init__(self, teacher: Teacher, budget: float | None, spent: float = 0.0) -> None:
        self.input_price, self.output_price = teacher.input_price, teacher.output_price
        self.budget, self.spent, self.reserved = budget, spent, 0.0
        self._in_flight, self._settled = 0, asyncio.Event()

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one call; 0 where the price is not known."""
        return (prompt_tokens * (self.input_price or 0) + completion_tokens * (self.output_price or 0)) / MILLION

    async def reserve(self, request_bytes: int, max_tokens: int) -> float:
        """Set aside the most that a request can cost: a token has at least one byte.

        Waits while what is in flight may turn out cheaper. Raises BudgetReached when nothing is in flight any more.
        """
        most = self.cost(request_bytes, max_tokens)
        while self.budget is not None and self.spent + self.reserved + most > self.budget:
            if not self._in_flight:
                raise BudgetReached(
                    f"teacher.budget={self.budget!r}: {self.spent:.4f} is spent, and the next answer may cost "
                    f"{most:.4f}; raise the budget, then run again: what was answered is kept"
                )
            self._settled.clear()
            await self._settled.wait()
        self.reserved += most
        self._in_flight += 1
        return most

    def settle(self, reserved: float, prompt_tokens: int, completion_tokens: int) -> float:
        """Count what a call cost in place of what was set aside for it; returns the cost."""
        cost = self.cost(prompt_tokens, completion_tokens)
        self._free(reserved, cost)
        return cost

    def lose(self, reserved: float) -> None:
        """A call that never came back may have been billed: for the budget it counts in full."""
        self._free(reserved, reserved)

    def _free(self, reserved: float, cost: float) -> None:
        self._in_flight -= 1
        self.reserved = self.reserved - reserved if self._in_flight else 0.0
        self.spent += cost
        self._settled.set()

    def note(self) -> str:
        """For the progress line; empty without prices."""
        if self.input_price is None and self.output_price is None:
            return ""
        return f"spent {self.spent:.2f}" + (f" of {self.budget:g}" if self.budget is not None else "")
