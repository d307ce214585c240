"""Requests in flight at one teacher: a limited number, in order of priority."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

# The lower, the sooner: retries first, then the order of the prompts.
Priority = tuple[int, int]


class Slots:
    """At most `count` requests in flight. `on_change` is called when a slot is requested, and when one is free."""

    def __init__(self, count: int, on_change: Callable[[], None]) -> None:
        self.count, self.free, self._on_change = count, count, on_change
        self._waiting: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._arrival = itertools.count()

    def hold(self, priority: Priority) -> "HeldSlot":
        """A context manager that waits for a slot and holds it for the block."""
        return HeldSlot(self, priority)

    async def acquire(self, priority: Priority) -> None:
        if self.free:
            self.free -= 1
            self._on_change()
            return
        granted = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._arrival), granted))
        self._on_change()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        while self._waiting:
            _, _, granted = heapq.heappop(self._waiting)
            if not granted.done():
                granted.set_result(None)
                return
        self.free += 1
        self._on_change()


# A class, because an async generator for each request costs three times as much.
@dataclass(frozen=True, slots=True)
class HeldSlot:
    slots: Slots
    priority: Priority

    async def __aenter__(self) -> None:
        await self.slots.acquire(self.priority)

    async def __aexit__(self, *error: object) -> None:
        self.slots.release()
