"""Requests to a teacher: prompts rendered as it sees them, sampling parameters, and the key of the store."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from azdistill.contracts.prompting import render
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Message
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.replies import ParsedReply, read_reply

# A token of a text has more bytes.
BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request body and its store key: the SHA-256 of everything that determines the answer, in hex.

    `prompt_tokens` is None where only the endpoint can count them.
    """

    key: str
    body: bytes
    prompt_tokens: int | None = None

    @property
    def most_prompt_tokens(self) -> int:
        """A token has at least one byte."""
        return self.prompt_tokens or len(self.body)

    @property
    def likely_prompt_tokens(self) -> int:
        return self.prompt_tokens or len(self.body) // BYTES_PER_TOKEN

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> ParsedReply:
        """Parse a reply to this request."""
        return read_reply(status, headers, body)


def chat_request(messages: tuple[Message, ...], config: RequestConfig, endpoint: Endpoint, sample: int = 0) -> Request:
    """Request for one conversation. The first sample has the key of a job without samples, so that its answer remains
    usable when the number of samples changes."""
    turns = render(messages, config.prompting)
    body: dict[str, Any] = {"model": endpoint.model, "messages": turns, **sampling_parameters(config, endpoint)}
    return keyed_request(body, endpoint, sample)


def keyed_request(body: dict[str, Any], endpoint: Endpoint, sample: int = 0) -> Request:
    """Request with a JSON body, keyed by endpoint, body and number of the sample."""
    number = {"sample": sample} if sample else {}
    content = orjson.dumps({"asked_at": endpoint.identity, **number, **body}, option=orjson.OPT_SORT_KEYS)
    return Request(hashlib.sha256(content).hexdigest(), orjson.dumps(body))


def sampling_parameters(config: RequestConfig, endpoint: Endpoint, max_tokens: int | None = None) -> dict[str, Any]:
    """Parameters of a request: those of the job, and the teacher's own `parameters`. A reasoning model counts its
    reasoning among `max_tokens`, and refuses temperature and top_p."""
    limit = config.max_tokens if max_tokens is None else max_tokens
    logprobs = {"logprobs": True, "top_logprobs": endpoint.top_logprobs} if endpoint.top_logprobs else {}
    others = {**logprobs, **endpoint.teacher.parameters}
    if endpoint.teacher.reasoning:
        return {"max_completion_tokens": limit, **others}
    return {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": limit, **others}
