"""What answers cost, and the budget that is never exceeded. Prices and budget are in the spec's own currency."""

import asyncio

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.teacher import Teacher

MILLION = 1_000_000


class BudgetReached(AzdistillError):
    """Nothing more may be asked: the budget could be exceeded by the next answer."""


def cost(teacher: Teacher, prompt_tokens: int, completion_tokens: int) -> float:
    """Of one call; 0 where the price is not known."""
    return (prompt_tokens * (teacher.input_price or 0) + completion_tokens * (teacher.output_price or 0)) / MILLION


class Budget:
    """One for all teachers of a job: counts what was spent, and sets aside for what is in flight the most that it can
    cost. With a budget there have to be prices (the spec says so).
    """

    def __init__(self, budget: float | None = None, spent: float = 0.0) -> None:
        self.budget, self.spent, self.reserved = budget, spent, 0.0
        self._in_flight, self._settled = 0, asyncio.Event()

    async def reserve(self, most: float) -> float:
        """Set aside `most` for a request; returns it.

        Waits while what is in flight may turn out cheaper. Raises BudgetReached when nothing is in flight any more.
        """
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

    def settle(self, reserved: float, cost: float) -> None:
        """Count what a call cost in place of what was set aside for it. One that never came back may have been
        billed: it costs all that was."""
        self._in_flight -= 1
        self.reserved = self.reserved - reserved if self._in_flight else 0.0
        self.spent += cost
        self._settled.set()

    def note(self) -> str:
        """For the progress line; empty where nothing costs anything."""
        if not (self.spent or self.budget):
            return ""
        return f"spent {self.spent:.2f}" + (f" of {self.budget:g}" if self.budget is not None else "")
