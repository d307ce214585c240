"""Prompts as the teacher sees them: rendered, with the parameters of the call, and keyed by content."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.prompting import render


@dataclass(frozen=True, slots=True)
class Request:
    """One request body, and the sha256 of everything that can change its answer."""

    key: str
    body: bytes


def chat_request(messages: tuple[Message, ...], config: TeacherConfig, endpoint: Endpoint, sample: int = 0) -> Request:
    """The request for one conversation. Its samples are keyed by their numbers, and the first is the one that a job
    without samples asks for: what was bought stays of use when their number changes."""
    turns = render(messages, config.prompting)
    request: dict[str, Any] = {"model": endpoint.model, "messages": turns, **sampling_parameters(config, endpoint)}
    return keyed_request(request, endpoint, sample)


def keyed_request(request: dict[str, Any], endpoint: Endpoint, sample: int = 0) -> Request:
    """A request, with the key of what its answer hangs on."""
    numbered = {"sample": sample} if sample else {}
    whole = orjson.dumps({"asked_at": endpoint.identity, **numbered, **request}, option=orjson.OPT_SORT_KEYS)
    return Request(hashlib.sha256(whole).hexdigest(), orjson.dumps(request))


def sampling_parameters(config: TeacherConfig, endpoint: Endpoint, tokens: int | None = None) -> dict[str, Any]:
    """The parameters of a call. A reasoning model counts its thoughts among `tokens`, and refuses the others."""
    most = config.max_tokens if tokens is None else tokens
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": endpoint.top_logprobs} if endpoint.top_logprobs else {}
    if endpoint.teacher.reasoning:
        return {"max_completion_tokens": most, **asked}
    return {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": most, **asked}
