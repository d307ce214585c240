"""The chat wire format as Azure's endpoints speak it: what is asked, answered and refused.

Source: the chat completions reference of Azure AI Foundry and of serverless endpoints.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from azdistill.contracts.rows import Message, prompt_id
from azdistill.contracts.simulation import Parameter

STAND_IN = "azdistill simulated teacher: a stand-in, not a language model"
JSON, HTML = "application/json", "text/html"


class ChatRequest(BaseModel):
    """The body of a chat request. Like the real endpoints, it refuses parameters it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = "teacher"
    messages: tuple[Message, ...] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    seed: int | None = None
    n: int = Field(1, ge=1, le=128)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    stream: Literal[False] = False
    _request_id: str = PrivateAttr("")

    @field_validator("messages", mode="before")
    @classmethod
    def _texts(cls, messages: Any) -> Any:
        return [_joined(message) for message in messages] if isinstance(messages, list) else messages

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @cached_property
    def conversation(self) -> str:
        """The id of the messages."""
        return prompt_id(self.messages)

    def luck(self, index: int = 0) -> str:
        """What the draws for its answers depend on: the messages, and above temperature 0, where an answer is
        drawn, the request and the number of the answer in it."""
        drawn = (self._request_id, str(index) if index else "") if self.temperature else ()
        return " ".join(filter(None, (self.conversation, *drawn)))

    def under(self, request_id: str) -> "ChatRequest":
        """The request as the one that was sent under this id."""
        found = self.model_copy()
        found._request_id = request_id
        return found

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    def without(self, parameters: Sequence[Parameter]) -> "ChatRequest":
        """The request as an endpoint reads it to which these mean nothing."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in parameters})


def _joined(message: Any) -> Any:
    """A message whose content is a list of text parts, as one whose content is a text. Any other goes through."""
    parts = message.get("content") if isinstance(message, dict) else None
    if isinstance(parts, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in parts):
        return {**message, "content": "".join(str(part.get("text", "")) for part in parts)}
    return message


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer, with what a reasoning model thought before it, and its tokens, the thoughts' included."""

    content: str
    finish_reason: str
    tokens: int
    trace: str | None = None
    trace_tokens: int = 0
    logprobs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, and how it ends: whole, cut in the middle, by a reset in place of it, or never."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Literal["whole", "cut", "reset", "never"] = "whole"


def count_tokens(text: str) -> int:
    """Words and marks, about what a tokenizer would count."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def first_tokens(text: str, count: int) -> str:
    """The part of `text` that `count_tokens` counts as the first `count`."""
    ends = [found.end() for found in re.finditer(r"\w+|[^\w\s]", text)]
    return text if count >= len(ends) else text[: ends[count - 1]] if count else ""


def completion(request: ChatRequest, number: int, choices: Sequence[Choice]) -> dict[str, Any]:
    """A `chat.completion` body. Model and fingerprint say that it is a stand-in."""
    return {
        "id": f"simulated-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{request.model} (simulated)",
        "system_fingerprint": STAND_IN,
        "choices": [_choice(index, choice) for index, choice in enumerate(choices)],
        "usage": _usage(prompt_tokens(request.messages), choices),
    }


def _choice(index: int, choice: Choice) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.content}
    if choice.trace is not None:
        message["reasoning_content"] = choice.trace
    found: dict[str, Any] = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    return found if choice.logprobs is None else {**found, "logprobs": choice.logprobs}


def _usage(asked: int, choices: Sequence[Choice]) -> dict[str, Any]:
    answered, thought = sum(choice.tokens for choice in choices), sum(choice.trace_tokens for choice in choices)
    usage: dict[str, Any] = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    return {**usage, "completion_tokens_details": {"reasoning_tokens": thought}} if thought else usage


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a conversation, with 4 for the marks around each turn."""
    return sum(count_tokens(message.content) + 4 for message in messages)


def content_filter() -> dict[str, Any]:
    """The error body of a prompt that the content filter refused."""
    result = {"violence": {"filtered": True, "severity": "medium"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
    message = "The response was filtered due to the prompt triggering the content management policy (simulated)."
    return {"error": {"code": "content_filter", "message": message, "status": 400, "innererror": inner}}


def gateway(status: int, message: str) -> dict[str, Any]:
    """The shape of the gateway before a serverless endpoint: no `error` object."""
    return {"statusCode": status, "message": message}


def refusal(code: str, message: str, **more: str) -> dict[str, Any]:
    """The shape of the model's own server."""
    return {"error": {"code": code, "message": message, **more}}


def invalid(message: str) -> Reply:
    return reply(400, refusal("invalid_request", message))


def unsupported(parameter: str) -> Reply:
    """How a reasoning model refuses a parameter."""
    message = f"Unsupported parameter: '{parameter}' is not supported with this model (simulated)."
    more = {"type": "invalid_request_error", "param": parameter}
    return reply(400, refusal("unsupported_parameter", message, **more))


def no_deployment(model: str) -> Reply:
    """How Azure refuses a model name that the resource has no deployment of."""
    message = f"This resource has no deployment '{model}'; a new one takes minutes to be known (simulated)."
    return reply(404, refusal("DeploymentNotFound", message))


def throttled(wait_s: float, luck: float) -> Reply:
    """A refusal by a rate limit, in one of the two shapes seen in the field. Retry-After holds whole seconds."""
    seconds = max(math.ceil(wait_s), 1)
    message = f"Rate limit is exceeded. Try again in {seconds} seconds (simulated)."
    body = gateway(429, message) if luck < 0.5 else refusal("429", message)
    return reply(429, body, {"Retry-After": str(seconds)})


def server_error(luck: float) -> Reply:
    return page((500, 502, 503)[int(luck * 3)], "upstream failed")


def gateway_timeout() -> Reply:
    return page(504, "504 Gateway Time-out")


def not_ready() -> Reply:
    """A serverless endpoint whose model is still being loaded."""
    reason = {"ms-azureml-model-error-statuscode": "503", "ms-azureml-model-error-reason": "model_not_ready"}
    return reply(424, gateway(424, "The model is not ready (simulated)."), reason)


def reply(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, orjson.dumps(body), headers=headers or {})


def page(status: int, title: str) -> Reply:
    text = f"<html><head><title>{title}</title></head><body>{title} (simulated)</body></html>"
    return Reply(status, text.encode(), HTML)
