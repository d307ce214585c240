"""Requests and responses of the chat completions API, as far as a student that answers greedily supports it.

Source: the API reference of OpenAI, https://platform.openai.com/docs/api-reference/chat.
"""

import time
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from azdistill.contracts.problems import dotted, problems_of, shorten, suggest
from azdistill.contracts.rows import Message
from azdistill.contracts.text_parts import join_text_parts

# Parameters without effect on a greedy answer.
IGNORED = frozenset({"top_p", "seed", "user"})

# Parameters that would change the answer, and the values that do not.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "temperature": (0,),
    "n": (1,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "stop": ([],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "response_format": ({"type": "text"},),
}
GREEDY = "the student answers as it was evaluated: greedily, and in plain text"


class InvalidRequest(Exception):
    """A request that cannot be answered. `parameter` is the field of its body that is wrong."""

    def __init__(self, message: str, code: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.code, self.parameter = code, parameter


class StreamOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """Body of a request to /v1/chat/completions. The name of the model is not read: there is only one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = ""
    messages: tuple[Message, ...] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()

    @field_validator("messages", mode="before")
    @classmethod
    def _join_text_parts(cls, messages: Any) -> Any:
        return [join_text_parts(message) for message in messages] if isinstance(messages, list) else messages

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


def read_request(body: bytes) -> CompletionRequest:
    """Parse the body of a request. Raises InvalidRequest for one that the student cannot answer as asked."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON ({error})", "invalid_json") from None
    if not isinstance(fields, dict):
        raise InvalidRequest("the body must be a JSON object with `messages`", "invalid_json")
    present = {name: value for name, value in fields.items() if value is not None}
    for name, value in present.items():
        _check_parameter(name, value)
    known = {name: value for name, value in present.items() if name in CompletionRequest.model_fields}
    try:
        return CompletionRequest.model_validate(known)
    except ValidationError as error:
        problem = problems_of(error)[0]
        raise InvalidRequest(problem.text, problem.code, dotted(problem.field)) from None


def _check_parameter(name: str, value: Any) -> None:
    if name in NEUTRAL:
        if value not in NEUTRAL[name]:
            neutral = orjson.dumps(NEUTRAL[name][0]).decode()
            raise InvalidRequest(
                f"{name}={shorten(value)} is not supported: {GREEDY}; leave it out, or send {neutral}",
                "unsupported_parameter",
                name,
            )
    elif name not in CompletionRequest.model_fields and name not in IGNORED:
        known = {*CompletionRequest.model_fields, *IGNORED, *NEUTRAL}
        raise InvalidRequest(f"unknown parameter {shorten(name)}; {suggest(name, known)}", "unknown_parameter", name)


def completion(identity: str, model: str, text: str, finish_reason: str, usage: Mapping[str, int]) -> dict[str, Any]:
    """Body of a complete response."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return {**_head(identity, model, "chat.completion"), "choices": [choice], "usage": usage}


def chunk(identity: str, model: str, delta: Mapping[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    """One event of a streamed response."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {**_head(identity, model, "chat.completion.chunk"), "choices": [choice]}


def usage_chunk(identity: str, model: str, usage: Mapping[str, int]) -> dict[str, Any]:
    """The last event of a streamed response, with stream_options.include_usage."""
    return {**_head(identity, model, "chat.completion.chunk"), "choices": [], "usage": usage}


def _head(identity: str, model: str, kind: str) -> dict[str, Any]:
    return {"id": identity, "object": kind, "created": int(time.time()), "model": model}


def usage(prompt: int, answer: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def models(name: str) -> dict[str, Any]:
    """Body of /v1/models."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "azdistill"}]}


def error_body(message: str, code: str, parameter: str | None = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def event(body: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(body) + b"\n\n"


DONE = b"data: [DONE]\n\n"
