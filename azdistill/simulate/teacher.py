"""The simulated teacher: an expert who answers as a real endpoint does, with its faults to order."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import orjson
from pydantic import ValidationError

from azdistill.contracts.problems import explain
from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.choices import choice
from azdistill.simulate.clock import Clock
from azdistill.simulate.door import Door
from azdistill.simulate.draws import draw, latency_s
from azdistill.simulate.faults import Faults
from azdistill.simulate.limits import Limiter
from azdistill.simulate.wire import (
    STAND_IN,
    ChatRequest,
    Choice,
    Reply,
    completion,
    content_filter,
    invalid,
    no_deployment,
    page,
    reply,
    throttled,
    unsupported,
)

REQUEST_ID = "x-ms-client-request-id"
"""Azure's tracing header. A client that sends the same one for the same sample of a question repeats that sample."""


class Expert(Protocol):
    """Answers any valid conversation of its task. Raises ValueError on what it does not understand."""

    def answer(self, messages: Sequence[Message]) -> str: ...

    def wrong_answer(self, messages: Sequence[Message]) -> str: ...


class SimulatedTeacher:
    """One simulation and its expert. `calls` counts replies by kind, and beside it those that were slow; `bought`
    counts the answers that a real endpoint would bill, by the luck of their question: its conversation, and above
    temperature 0 its sample too."""

    def __init__(self, simulation: Simulation, expert: Expert, key: str | None = None) -> None:
        self.simulation, self.expert = simulation, expert
        self.calls: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self._clock = Clock(simulation.clock_skew_s)
        self._door = Door(key, simulation.entra_scope, self._clock.now)
        self._limiter = Limiter(simulation.limits)
        self._faults = Faults(simulation)

    def page(self) -> str:
        """What the root of the endpoint says of itself."""
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(self.calls.items())) or "none yet"
        return f"{STAND_IN}\nexpert: {self.simulation.expert}\ncalls: {counts}\n"

    async def respond(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """The reply to one chat request. `headers` are looked up by names in lower case."""
        kind, found = await self._judge(headers, body)
        self.calls[kind] += 1
        ours = {"x-azdistill-simulated": "true", **self._clock.headers(), **self._limiter.headers()}
        return replace(found, headers={**ours, **found.headers})

    async def _judge(self, headers: Mapping[str, str], body: bytes) -> tuple[str, Reply]:
        if self.simulation.html:
            return "html", page(200, "Sign in")
        if refused := self._door.refusal(headers):
            return "unauthorized", refused
        try:
            asked = ChatRequest.model_validate_json(body)
        except ValidationError as problem:
            return "invalid", invalid(explain(problem))
        if self.simulation.deployments and asked.model not in self.simulation.deployments:
            return "no_deployment", no_deployment(asked.model)
        for name in self.simulation.refused_parameters:
            if name in asked.model_fields_set:
                return "invalid", unsupported(name)
        found = asked.without(self.simulation.ignored_parameters).under(headers.get(REQUEST_ID, ""))
        return await self._within_limits(found)

    async def _within_limits(self, asked: ChatRequest) -> tuple[str, Reply]:
        if wait_s := self._limiter.wait_s():
            return "limited", throttled(wait_s, self._draw("throttled kind", asked))
        self._limiter.admitted(asked)
        return self._faults.instead(asked.luck()) or await self._answer(asked)

    async def _answer(self, asked: ChatRequest) -> tuple[str, Reply]:
        await asyncio.sleep(self._seconds(asked))
        if self._draw("filtered", asked) < self.simulation.filtered_rate:
            return "filtered", self._filtered(asked)
        try:
            choices = [choice(self.simulation, asked, self._said(asked, index), index) for index in range(asked.n)]
        except ValueError as problem:
            return "invalid", invalid(f"not a case of the {self.simulation.expert} expert: {problem}")
        body = completion(asked, self.calls["answered"], choices)
        self.bought[asked.luck()] += 1
        self._limiter.answered(body["usage"]["total_tokens"])
        if self._faults.once("broken", self.simulation.broken_rate, asked.luck()):
            return "broken", _broken(orjson.dumps(body), self._draw("broken kind", asked))
        return "answered", reply(200, body)

    def _seconds(self, asked: ChatRequest) -> float:
        seconds = latency_s(self.simulation, asked.luck())
        if self._faults.once("slow", self.simulation.slow_rate, asked.luck()):
            self.calls["slow"] += 1
            seconds += self.simulation.slow_ms / 1000
        return seconds

    def _said(self, asked: ChatRequest, index: int) -> str:
        """The answer is drawn where the job gives examples to draw from; whether it is right, always."""
        wrong = self._draw("wrong", asked, index) < self.simulation.wrong_rate
        if examples := self.simulation.examples:
            return examples[(int(self._draw("example", asked, index) * len(examples)) + wrong) % len(examples)]
        return self.expert.wrong_answer(asked.messages) if wrong else self.expert.answer(asked.messages)

    def _filtered(self, asked: ChatRequest) -> Reply:
        """Both shapes seen in the field: an error object, and a completion with status 400."""
        if self._draw("filter shape", asked) < 0.5:
            return reply(400, content_filter())
        return reply(400, completion(asked, 0, [Choice("", "content_filter", 0)]))

    def _draw(self, what: str, asked: ChatRequest, index: int = 0) -> float:
        return draw(self.simulation.seed, what, asked.luck(index))


def _broken(body: bytes, luck: float) -> Reply:
    """Half a body: one that says it is whole, or one whose connection closes before it is."""
    return Reply(200, body[: len(body) // 2]) if luck < 0.5 else Reply(200, body, ending="cut")
