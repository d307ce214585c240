"""The simulated teacher: an expert behind real HTTP, with the faults of a real endpoint to order."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from aiohttp import web
from pydantic import ValidationError

from azdistill.contracts.rows import Message
from azdistill.contracts.step import explain
from azdistill.contracts.teacher import Simulation
from azdistill.simulate.draws import draw
from azdistill.simulate.wire import (
    STAND_IN,
    ChatRequest,
    completion,
    content_filter,
    first_tokens,
    gateway,
    reply,
)

PATHS = (
    "/chat/completions",
    "/v1/chat/completions",
    "/models/chat/completions",
    "/openai/v1/chat/completions",
    "/api/projects/{project}/openai/v1/chat/completions",
)
RETRY_AFTER_S = 1


class Expert(Protocol):
    """Answers any valid conversation of its task. Raises ValueError on what it does not understand."""

    def answer(self, messages: Sequence[Message]) -> str: ...

    def wrong_answer(self, messages: Sequence[Message]) -> str: ...


class SimulatedTeacher:
    """One simulation and its expert. `calls` counts replies by kind; `bought` counts answers by the
    id of their conversation."""

    def __init__(self, simulation: Simulation, expert: Expert, key: str | None = None) -> None:
        self.simulation, self.expert, self._key = simulation, expert, key
        self.calls: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self._met: set[tuple[str, str]] = set()

    def application(self) -> web.Application:
        """The aiohttp application: chat on every path that users paste, and a page that says what this is."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/", self.page)
        for path in PATHS:
            app.router.add_post(path, self.chat)
        return app

    async def page(self, _request: web.Request) -> web.Response:
        counts = ", ".join(f"{kind} {count}" for kind, count in sorted(self.calls.items())) or "none yet"
        return web.Response(text=f"{STAND_IN}\nexpert: {self.simulation.expert}\ncalls: {counts}\n")

    async def chat(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return self._counted(
                "unauthorized", reply(401, gateway(401, "Access denied due to invalid key (simulated)."))
            )
        try:
            asked = ChatRequest.model_validate_json(await request.read())
        except ValidationError as problem:
            return self._counted("invalid", _invalid(explain(problem)))
        return await self._fault(request, asked) or await self._answer(asked)

    def _authorized(self, request: web.Request) -> bool:
        given = {request.headers.get("api-key"), request.headers.get("Authorization", "").removeprefix("Bearer ")}
        return self._key is None or self._key in given

    def _counted(self, kind: str, response: web.Response) -> web.Response:
        self.calls[kind] += 1
        return response

    def _draw(self, what: str, asked: ChatRequest) -> float:
        return draw(self.simulation.seed, what, asked.conversation)

    def _once(self, what: str, rate: float, asked: ChatRequest) -> bool:
        """Whether this conversation meets this fault now: at its rate, the first time only."""
        if self._draw(what, asked) >= rate or (what, asked.conversation) in self._met:
            return False
        self._met.add((what, asked.conversation))
        return True

    async def _fault(self, request: web.Request, asked: ChatRequest) -> web.Response | None:
        if self._once("throttled", self.simulation.throttle_rate, asked):
            refusal = gateway(429, f"Rate limit is exceeded. Try again in {RETRY_AFTER_S} seconds (simulated).")
            return self._counted("throttled", reply(429, refusal, Retry_After=str(RETRY_AFTER_S)))
        if self._once("error", self.simulation.error_rate, asked):
            status = (500, 502, 503)[int(self._draw("error status", asked) * 3)]
            return self._counted("error", web.Response(status=status, text="<html>upstream failed (simulated)</html>"))
        if self._once("reset", self.simulation.reset_rate, asked):
            _reset(request)
            return self._counted("reset", web.Response())
        return None

    async def _answer(self, asked: ChatRequest) -> web.Response:
        await asyncio.sleep(self.simulation.latency_ms / 1000 * (0.5 + self._draw("latency", asked)))
        if self._draw("filtered", asked) < self.simulation.filtered_rate:
            return self._counted("filtered", self._filtered(asked))
        wrong = self._draw("wrong", asked) < self.simulation.wrong_rate
        try:
            answer = self.expert.wrong_answer(asked.messages) if wrong else self.expert.answer(asked.messages)
        except ValueError as problem:
            return self._counted("invalid", _invalid(f"not a case of the {self.simulation.expert} expert: {problem}"))
        self.bought[asked.conversation] += 1
        return self._counted("answered", self._whole_or_cut(asked, answer))

    def _whole_or_cut(self, asked: ChatRequest, answer: str) -> web.Response:
        cut = answer if asked.token_limit is None else first_tokens(answer, asked.token_limit)
        if self._draw("truncated", asked) < self.simulation.truncated_rate:
            cut = answer[: len(answer) // 2]
        reason = "stop" if cut == answer else "length"
        return reply(200, completion(asked, self.calls["answered"], cut, reason))

    def _filtered(self, asked: ChatRequest) -> web.Response:
        """Both shapes seen in the field: an error object, and a completion with status 400."""
        if self._draw("filter shape", asked) < 0.5:
            return reply(400, content_filter())
        return reply(400, completion(asked, 0, "", "content_filter"))


def _invalid(message: str) -> web.Response:
    return reply(400, {"error": {"code": "invalid_request", "message": message}})


def _reset(request: web.Request) -> None:
    """Close with an RST, as a dying gateway does: linger 0 drops what was not sent."""
    transport = request.transport
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
