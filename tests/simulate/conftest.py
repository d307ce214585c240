"""A simulated teacher with a small expert, and an aiohttp session with it on loopback."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest

from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.server import listening
from azdistill.simulate.teacher import SimulatedTeacher


class Echo:
    """Repeats the last turn. Raises ValueError for a turn that starts with `?`."""

    def answer(self, messages: Sequence[Message]) -> str:
        if messages[-1].content.startswith("?"):
            raise ValueError("a question mark")
        return f"You said: {messages[-1].content}"

    def wrong_answer(self, messages: Sequence[Message]) -> str:
        return "I do not know."


SessionFunction = Callable[[aiohttp.ClientSession], Awaitable[Any]]


@pytest.fixture
def simulated() -> Callable[..., Any]:
    """Run `function` with a session whose base URL is a simulated teacher; returns what it returns."""

    def run(function: SessionFunction, *, key: str | None = None, **rates: Any) -> Any:
        teacher = SimulatedTeacher(Simulation(**{"latency_ms": 0, "wrong_rate": 0.0, **rates}), Echo(), key)

        async def ask() -> Any:
            async with listening(teacher) as url, aiohttp.ClientSession(url) as session:
                return await function(session)

        return asyncio.run(ask())

    return run
