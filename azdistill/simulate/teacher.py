"""The simulated teacher: an expert behind the API of a real endpoint, with configurable faults."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from email.utils import formatdate
from typing import Protocol

import orjson
from pydantic import ValidationError

from azdistill.contracts.augmenting import is_request
from azdistill.contracts.problems import explain
from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.auth import AuthCheck
from azdistill.simulate.choices import build_choice
from azdistill.simulate.experts import augment
from azdistill.simulate.faults import FaultInjector
from azdistill.simulate.limits import Limiter
from azdistill.simulate.rng import draw, latency_s
from azdistill.simulate.wire import (
    FINGERPRINT,
    ChatRequest,
    HttpReply,
    ResponseChoice,
    completion,
    content_filter,
    invalid,
    no_deployment,
    page,
    reply,
    throttled,
    unsupported,
)

# Azure's tracing header. A request that is sent again under the same id gets the same sample.
REQUEST_ID = "x-ms-client-request-id"


class Expert(Protocol):
    """Answers conversations of one task. Raises ValueError for a conversation that it cannot answer."""

    def answer(self, messages: Sequence[Message]) -> str: ...

    def wrong_answer(self, messages: Sequence[Message]) -> str: ...


class SimulatedTeacher:
    """One simulated endpoint.

    `calls` counts replies by kind, and additionally the slow ones. `bought` counts the answers that a real endpoint
    would bill, by the draw key of their request.
    """

    def __init__(self, simulation: Simulation, expert: Expert, key: str | None = None) -> None:
        self.simulation, self.expert = simulation, expert
        self.calls: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self._auth = AuthCheck(key, simulation.entra_scope, self._now)
        self._limiter = Limiter(simulation.limits)
        self._faults = FaultInjector(simulation)

    def page(self) -> str:
        """Text of the root page."""
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(self.calls.items())) or "none yet"
        return f"{FINGERPRINT}\nexpert: {self.simulation.expert}\ncalls: {counts}\n"

    async def respond(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Reply to one chat request. The names of `headers` are in lower case."""
        kind, answer = await self._check(headers, body)
        self.calls[kind] += 1
        added = {"x-azdistill-simulated": "true", **self._date(), **self._limiter.headers()}
        return replace(answer, headers={**added, **answer.headers})

    def _now(self) -> float:
        return time.time() + self.simulation.clock_skew_s

    def _date(self) -> dict[str, str]:
        """The Date header of a wrong clock. The server sends the right one."""
        return {"Date": formatdate(self._now(), usegmt=True)} if self.simulation.clock_skew_s else {}

    async def _check(self, headers: Mapping[str, str], body: bytes) -> tuple[str, HttpReply]:
        """Kind of the reply and the reply: reject what a real endpoint rejects, then answer."""
        if self.simulation.html:
            return "html", page(200, "Sign in")
        if rejection := self._auth.reject(headers):
            return "unauthorized", rejection
        try:
            request = ChatRequest.model_validate_json(body)
        except ValidationError as error:
            return "invalid", invalid(explain(error))
        for name in (request.model_extra or {}).keys() - set(self.simulation.accepted_parameters):
            return "invalid", invalid(f"{name}: unknown field")
        if self.simulation.deployments and request.model not in self.simulation.deployments:
            return "no_deployment", no_deployment(request.model)
        for name in self.simulation.refused_parameters:
            if name in request.model_fields_set:
                return "invalid", unsupported(name)
        request = request.without(self.simulation.ignored_parameters).with_id(headers.get(REQUEST_ID, ""))
        key = request.draw_key()
        if wait_s := self._limiter.wait_s():
            return "limited", throttled(wait_s, self._draw("throttled kind", request))
        self._limiter.count_request(request)
        return self._faults.replace_answer(key) or await self._answer(request)

    async def _answer(self, request: ChatRequest) -> tuple[str, HttpReply]:
        await asyncio.sleep(self._delay_s(request))
        if self._draw("filtered", request) < self.simulation.filtered_rate:
            return "filtered", self._filtered(request)
        try:
            answers = [self._text(request, index) for index in range(request.n)]
        except ValueError as error:
            return "invalid", invalid(f"the {self.simulation.expert} expert cannot answer: {error}")
        choices = [build_choice(self.simulation, request, answer, index) for index, answer in enumerate(answers)]
        body = completion(request, self.calls["answered"], choices)
        self.bought[request.draw_key()] += 1
        self._limiter.count_answer(body["usage"]["total_tokens"])
        if self._faults.once("broken", self.simulation.broken_rate, request.draw_key()):
            return "broken", _incomplete(orjson.dumps(body), self._draw("broken kind", request))
        return "answered", reply(200, body)

    def _delay_s(self, request: ChatRequest) -> float:
        seconds = latency_s(self.simulation, request.draw_key())
        if self._faults.once("slow", self.simulation.slow_rate, request.draw_key()):
            self.calls["slow"] += 1
            seconds += self.simulation.slow_ms / 1000
        return seconds

    def _text(self, request: ChatRequest, index: int) -> str:
        """The answer, right or wrong: one of the job's examples if there are any, else the expert's.

        A request for new prompts has an expert of its own."""
        wrong = self._draw("wrong", request, index) < self.simulation.wrong_rate
        if is_request(request.messages):
            return augment.wrong_answer(request.messages) if wrong else augment.answer(request.messages)
        if examples := self.simulation.examples:
            return examples[(int(self._draw("example", request, index) * len(examples)) + wrong) % len(examples)]
        return self.expert.wrong_answer(request.messages) if wrong else self.expert.answer(request.messages)

    def _filtered(self, request: ChatRequest) -> HttpReply:
        """Both forms of real endpoints: an error object, and a completion with status 400."""
        if self._draw("filter shape", request) < 0.5:
            return reply(400, content_filter())
        return reply(400, completion(request, 0, [ResponseChoice("", "content_filter", 0)]))

    def _draw(self, purpose: str, request: ChatRequest, index: int = 0) -> float:
        return draw(self.simulation.seed, purpose, request.draw_key(index))


def _incomplete(body: bytes, drawn: float) -> HttpReply:
    """Half of a body, either with the length of the half or with a connection that closes early."""
    return HttpReply(200, body[: len(body) // 2]) if drawn < 0.5 else HttpReply(200, body, ending="cut")
