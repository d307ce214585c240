"""The gateway in front of a simulated model: authentication, rate limits, latency, faults, and counts of replies."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from typing import Any, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from azdistill.contracts.problems import explain
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.auth import AuthCheck
from azdistill.simulate.faults import FaultInjector
from azdistill.simulate.limits import Limiter
from azdistill.simulate.rng import draw, latency_s
from azdistill.simulate.wire import HttpReply, invalid, no_deployment, page, throttled, unsupported

# Kind of a reply, under which it is counted, and the reply.
Kind = tuple[str, HttpReply]
# A handler of one path gets the headers, with names in lower case, and the body.
Handler = Callable[[Mapping[str, str], bytes], Awaitable[HttpReply]]


class SimulatedEndpoint(Protocol):
    """An endpoint that the server can serve: handlers by method and path, and the text of its root page."""

    def page(self) -> str: ...

    def handlers(self) -> Mapping[tuple[str, str], Handler]: ...


class Rejected(Exception):
    """A request that is rejected before it is answered."""

    def __init__(self, kind: str, reply: HttpReply) -> None:
        super().__init__(kind)
        self.kind, self.reply = kind, reply


Request = TypeVar("Request", bound=BaseModel)


class Gateway:
    """The HTTP layer that all simulated endpoints share.

    `calls` counts replies by kind, and additionally the slow ones. `bought` counts the answers that a real endpoint
    would bill, by the draw key of their request.
    """

    def __init__(self, simulation: Simulation, key: str | None = None) -> None:
        self.simulation = simulation
        self.calls: Counter[str] = Counter()
        self.bought: Counter[str] = Counter()
        self._auth = AuthCheck(key, simulation.entra_scope, self._now)
        self._limiter = Limiter(simulation.limits)
        self._faults = FaultInjector(simulation)

    def invalid(self, message: str) -> HttpReply:
        """The error for a request that has a wrong field."""
        return invalid(message)

    def counts(self) -> str:
        """The counts of replies as text."""
        return ", ".join(f"{kind} {count}" for kind, count in sorted(self.calls.items())) or "none yet"

    async def pass_through(self, headers: Mapping[str, str], answer: Callable[[], Awaitable[Kind]]) -> HttpReply:
        """Authenticate a request, reply with the result of `answer`, and count the reply."""

        async def authenticated() -> Kind:
            if self.simulation.html:
                return "html", page(200, "Sign in")
            if rejection := self._auth.reject(headers):
                return "unauthorized", rejection
            return await answer()

        return await self.answer(authenticated)

    async def answer(self, answer: Callable[[], Awaitable[Kind]]) -> HttpReply:
        """Reply with the result of `answer`, and count the reply."""
        try:
            kind, content = await answer()
        except Rejected as rejected:
            kind, content = rejected.kind, rejected.reply
        self.calls[kind] += 1
        added = {"x-azdistill-simulated": "true", **self._date(), **self._limiter.headers()}
        return replace(content, headers={**added, **content.headers})

    def read(self, request_class: type[Request], body: bytes) -> Request:
        """Parse the body of a request. Raises Rejected as a real endpoint rejects it."""
        try:
            request = request_class.model_validate_json(body)
        except ValidationError as error:
            raise Rejected("invalid", self.invalid(explain(error))) from None
        for name in (request.model_extra or {}).keys() - set(self.simulation.accepted_parameters):
            raise Rejected("invalid", self.invalid(f"{name}: unknown field"))
        model = getattr(request, "model", "")
        if self.simulation.deployments and model not in self.simulation.deployments:
            raise Rejected("no_deployment", no_deployment(model))
        for name in self.simulation.refused_parameters:
            if name in request.model_fields_set:
                raise Rejected("invalid", unsupported(name))
        return request

    def admit(self, key: str, tokens: int) -> None:
        """Apply limits and faults to a request of at most `tokens` tokens. Raises Rejected."""
        if wait_s := self._limiter.wait_s():
            raise Rejected("limited", throttled(wait_s, draw(self.simulation.seed, "throttled kind", key)))
        self._limiter.count_request(tokens)
        if fault := self._faults.replace_answer(key):
            raise Rejected(*fault)

    async def wait(self, key: str) -> None:
        """Wait for the latency of an answer."""
        seconds = latency_s(self.simulation, key)
        if self._faults.once("slow", self.simulation.slow_rate, key):
            self.calls["slow"] += 1
            seconds += self.simulation.slow_ms / 1000
        await asyncio.sleep(seconds)

    def bill(self, key: str, body: Mapping[str, Any]) -> Kind:
        """The reply with an answer that is billed."""
        self.bought[key] += 1
        self._limiter.count_answer(body["usage"]["total_tokens"])
        content = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
        if self._faults.once("broken", self.simulation.broken_rate, key):
            return "broken", _incomplete(content, draw(self.simulation.seed, "broken kind", key))
        return "answered", HttpReply(200, content)

    def _now(self) -> float:
        return time.time() + self.simulation.clock_skew_s

    def _date(self) -> dict[str, str]:
        """The Date header of a wrong clock. The server sends the right one."""
        return {"Date": formatdate(self._now(), usegmt=True)} if self.simulation.clock_skew_s else {}


def _incomplete(body: bytes, drawn: float) -> HttpReply:
    """Half of a body, either with the length of the half or with a connection that closes early."""
    return HttpReply(200, body[: len(body) // 2]) if drawn < 0.5 else HttpReply(200, body, ending="cut")
