"""HTTP application of a served student: chat completions, models and health."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from azdistill.contracts.errors import DataError
from azdistill.generation.scheduler import Generation, Scheduler
from azdistill.serving import wire
from azdistill.students.decode import GenerationRequest
from azdistill.students.loading import Student, max_positions
from azdistill.students.template import ChatTokenizer

logger = logging.getLogger("azdistill.serving")

# Longest body of a request, bytes.
MAX_BODY = 4 * 2**20

# What decoding appends while the bytes of a character are not complete.
INCOMPLETE = "\ufffd"

FAILED = wire.error_body("the server failed; its log has the traceback", "internal_error", kind="server_error")


class DecodingFailed(Exception):
    """Decoding has failed, with the exception that the server ends with."""


class StudentServer:
    """A student that answers over HTTP. Create it in the event loop that serves it, and `stop` it at the end.

    `max_new_tokens` is the longest answer. `failed` is set when decoding has failed, after which every request fails.
    """

    def __init__(self, student: Student, name: str, max_new_tokens: int, batch_size: int) -> None:
        self._tokenizer, self._chat = student.tokenizer, ChatTokenizer(student.tokenizer)
        self._name, self._max_new_tokens, self._positions = name, max_new_tokens, max_positions(student.model)
        self._loop = asyncio.get_running_loop()
        self._changed: dict[Generation, asyncio.Event] = {}
        self.failed = asyncio.Event()
        self._scheduler = Scheduler(student, batch_size, self._report)

    @property
    def error(self) -> Exception | None:
        """The exception that ended decoding."""
        return self._scheduler.error

    @property
    def in_flight(self) -> int:
        """Number of requests that have no complete answer."""
        return len(self._changed)

    def stop(self) -> None:
        self._scheduler.stop()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[json_errors], client_max_size=MAX_BODY)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _health(self, _http: web.Request) -> web.Response:
        if self.error is not None:
            return web.json_response({"status": "failed"}, status=503)
        return web.json_response({"status": "ok"})

    async def _models(self, _http: web.Request) -> web.Response:
        return web.json_response(wire.models(self._name))

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        request = wire.read_request(await http.read())
        generation = Generation(self._tokenize(request), request.stream)
        with self._submitted(generation):
            if request.stream:
                return await self._stream(http, request, generation)
            await self._last(generation)
            return web.json_response(self._body(generation))

    def _tokenize(self, request: wire.CompletionRequest) -> GenerationRequest:
        """The prompt as in training and evaluation. An answer ends at the last position of the model."""
        (prompt,) = self._chat.encode([self._chat.prompt(request.messages)])
        limit = min(request.token_limit or self._max_new_tokens, self._max_new_tokens)
        if self._positions is not None:
            if len(prompt) >= self._positions:
                raise wire.InvalidRequest(
                    f"the messages have {len(prompt)} tokens, and the context of the model is {self._positions} tokens,"
                    " those of the answer included; shorten the messages",
                    "context_length_exceeded",
                    "messages",
                )
            limit = min(limit, self._positions - len(prompt))
        return GenerationRequest(prompt, limit)

    @contextmanager
    def _submitted(self, generation: Generation) -> Iterator[None]:
        """Decode a request inside the block; it is cancelled at the end, which a client that disconnects reaches."""
        self._changed[generation] = asyncio.Event()
        self._scheduler.submit(generation)
        try:
            yield
        finally:
            generation.cancelled = True
            del self._changed[generation]

    def _report(self, generations: Sequence[Generation]) -> None:
        """Called by the scheduler's thread."""
        self._loop.call_soon_threadsafe(self._wake, generations)

    def _wake(self, generations: Sequence[Generation]) -> None:
        for generation in generations:
            if generation in self._changed:
                self._changed[generation].set()
        if self.error is not None:
            self.failed.set()

    async def _progress(self, generation: Generation) -> AsyncIterator[None]:
        """Iterate over the changes of a generation; the last one is its end. Raises DecodingFailed."""
        changed, ended = self._changed[generation], False
        while not ended:
            await changed.wait()
            changed.clear()
            ended = generation.ended
            if generation.error is not None:
                raise DecodingFailed
            yield

    async def _last(self, generation: Generation) -> None:
        async for _ in self._progress(generation):
            pass

    async def _stream(
        self, http: web.Request, request: wire.CompletionRequest, generation: Generation
    ) -> web.StreamResponse:
        """Send the answer as server-sent events. The status is sent with the first token, so that an earlier error has
        a status of its own."""
        identity = _identity()
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        try:
            async for delta in self._deltas(generation):
                if not response.prepared:
                    await response.prepare(http)
                await response.write(wire.event(wire.chunk(identity, self._name, delta)))
        except DecodingFailed:
            if not response.prepared:
                raise
            await response.write(wire.event(FAILED))
            return response
        await response.write(wire.event(wire.chunk(identity, self._name, {}, generation.finish_reason)))
        if request.stream_options.include_usage:
            await response.write(wire.event(wire.usage_chunk(identity, self._name, _usage(generation))))
        await response.write(wire.DONE)
        return response

    async def _deltas(self, generation: Generation) -> AsyncIterator[dict[str, str]]:
        """The role, then the text as it grows, without characters whose bytes are not complete."""
        sent = None
        async for _ in self._progress(generation):
            if sent is None:
                sent = ""
                yield {"role": "assistant", "content": ""}
            text = self._text(generation)
            if len(text) > len(sent) and (generation.ended or not text.endswith(INCOMPLETE)):
                yield {"content": text[len(sent) :]}
                sent = text

    def _body(self, generation: Generation) -> dict[str, Any]:
        text, reason = self._text(generation), generation.finish_reason
        assert reason is not None
        return wire.completion(_identity(), self._name, text, reason, _usage(generation))

    def _text(self, generation: Generation) -> str:
        text: str = self._tokenizer.decode(generation.token_ids, skip_special_tokens=True)
        return text


def _identity() -> str:
    return f"chatcmpl-{uuid.uuid4().hex}"


def _usage(generation: Generation) -> dict[str, int]:
    """Tokens as OpenAI counts them: those of the answer include the one that ends it."""
    end = generation.finish_reason == "stop"
    return wire.usage(len(generation.request.prompt), len(generation.token_ids) + end)


@web.middleware
async def json_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give every error the body of OpenAI's errors."""
    try:
        return await handler(request)
    except wire.InvalidRequest as error:
        return web.json_response(wire.error_body(str(error), error.code, error.parameter), status=400)
    except DataError as error:  # the chat template rejects the conversation
        (problem,) = error.problems
        return web.json_response(wire.error_body(problem.message, problem.code, "messages"), status=400)
    except web.HTTPException as error:
        body = wire.error_body(
            f"{request.method} {request.path}: {error.reason}", error.reason.lower().replace(" ", "_")
        )
        return web.json_response(body, status=error.status)
    except DecodingFailed:  # the server ends with its traceback
        return web.json_response(FAILED, status=500)
    except ConnectionError:  # the client has disconnected
        raise
    except Exception:
        logger.exception("%s %s", request.method, request.path)
        return web.json_response(FAILED, status=500)
