"""The simulated teacher: an expert behind the API of a real endpoint, with configurable faults."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from azdistill.contracts.augmenting import is_request
from azdistill.contracts.requests import PROBE_QUESTION
from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import Simulation
from azdistill.simulate.choices import build_choice
from azdistill.simulate.experts import augment
from azdistill.simulate.gateway import Gateway, Handler, Kind
from azdistill.simulate.rng import draw
from azdistill.simulate.wire import (
    FINGERPRINT,
    PATHS,
    REQUEST_ID,
    ChatRequest,
    HttpReply,
    ResponseChoice,
    completion,
    content_filter,
    invalid,
    reply,
)


class Expert(Protocol):
    """Answers conversations of one task. Raises ValueError for a conversation that it cannot answer."""

    def answer(self, messages: Sequence[Message]) -> str: ...

    def wrong_answer(self, messages: Sequence[Message]) -> str: ...


class SimulatedTeacher(Gateway):
    """One simulated endpoint that answers with an expert."""

    def __init__(self, simulation: Simulation, expert: Expert, key: str | None = None) -> None:
        super().__init__(simulation, key)
        self.expert = expert

    def page(self) -> str:
        """Text of the root page."""
        return f"{FINGERPRINT}\nexpert: {self.simulation.expert}\ncalls: {self.counts()}\n"

    def handlers(self) -> Mapping[tuple[str, str], Handler]:
        return {("POST", path): self.respond for path in PATHS}

    async def respond(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        """Reply to one chat request. The names of `headers` are in lower case."""
        return await self.pass_through(headers, lambda: self._reply(headers, body))

    async def _reply(self, headers: Mapping[str, str], body: bytes) -> Kind:
        """Reject what a real endpoint rejects, then answer."""
        request = self.read(ChatRequest, body)
        request = request.without(self.simulation.ignored_parameters).with_id(headers.get(REQUEST_ID, ""))
        key = request.draw_key()
        self.admit(key, request.most_tokens)
        await self.wait(key)
        if self._draw("filtered", request) < self.simulation.filtered_rate:
            return "filtered", self._filtered(request)
        try:
            answers = [self._text(request, index) for index in range(request.n)]
        except ValueError as error:
            return "invalid", invalid(f"the {self.simulation.expert} expert cannot answer: {error}")
        choices = [build_choice(self.simulation, request, answer, index) for index, answer in enumerate(answers)]
        return self.bill(key, completion(request, self.calls["answered"], choices))

    def _text(self, request: ChatRequest, index: int) -> str:
        """The answer, right or wrong: one of the job's examples if there are any, else the expert's.

        A request for new prompts has an expert of its own, and the question that tests an endpoint has one answer."""
        if request.messages[-1].content == PROBE_QUESTION:
            return "Yes."
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
