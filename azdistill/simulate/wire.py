"""The wire format of Azure's chat endpoints: requests, responses and errors.

Source: the chat completions reference of Azure AI Foundry and of serverless endpoints.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from azdistill.contracts.rows import Message, prompt_id
from azdistill.contracts.simulation import Parameter
from azdistill.contracts.text_parts import join_text_parts

FINGERPRINT = "azdistill simulated teacher, not a language model"
JSON, HTML = "application/json", "text/html"
# Paths of chat completions.
PATHS = (
    "/chat/completions",
    "/v1/chat/completions",
    "/models/chat/completions",
    "/openai/v1/chat/completions",
    "/api/projects/{project}/openai/v1/chat/completions",
)
# Azure's tracing header. A request that is sent again under the same id gets the same sample.
REQUEST_ID = "x-ms-client-request-id"


class ChatRequest(BaseModel):
    """Body of a chat request. Parameters outside the reference are in `model_extra`."""

    model_config = ConfigDict(frozen=True, extra="allow")

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
    def _join_text_parts(cls, messages: Any) -> Any:
        return [join_text_parts(message) for message in messages] if isinstance(messages, list) else messages

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @cached_property
    def conversation(self) -> str:
        """The id of the messages."""
        return prompt_id(self.messages)

    def draw_key(self, index: int = 0) -> str:
        """Key of the random draws for choice `index`: the messages, above temperature 0 also request id and index."""
        sample = (self._request_id, str(index) if index else "") if self.temperature else ()
        return " ".join(filter(None, (self.conversation, *sample)))

    def with_id(self, request_id: str) -> Self:
        copy = self.model_copy()
        copy._request_id = request_id
        return copy

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt and of the longest answers."""
        return prompt_tokens(self.messages) + (self.token_limit or 0) * self.n

    def without(self, parameters: Sequence[Parameter]) -> Self:
        """The request without these parameters, as an endpoint reads it that ignores them."""
        return self.model_copy(update={name: type(self).model_fields[name].default for name in parameters})


@dataclass(frozen=True, slots=True)
class ResponseChoice:
    """One choice of a response. `trace` is the reasoning of a reasoning model; `tokens` include those of the trace."""

    content: str
    finish_reason: str
    tokens: int
    trace: str | None = None
    trace_tokens: int = 0
    logprobs: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP response. `ending`: complete, cut in the middle, a reset connection instead of it, or none ever."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    ending: Literal["complete", "cut", "reset", "never"] = "complete"


def count_tokens(text: str) -> int:
    """Number of words and punctuation marks, close to the number of tokens of a tokenizer."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def first_tokens(text: str, count: int) -> str:
    """The first `count` tokens of `text`, counted as in `count_tokens`."""
    ends = [match.end() for match in re.finditer(r"\w+|[^\w\s]", text)]
    return text if count >= len(ends) else text[: ends[count - 1]] if count else ""


def completion(request: ChatRequest, number: int, choices: Sequence[ResponseChoice]) -> dict[str, Any]:
    """Body of a `chat.completion`. Its model and fingerprint say that it is simulated."""
    return {
        "id": f"simulated-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{request.model} (simulated)",
        "system_fingerprint": FINGERPRINT,
        "choices": [_choice(index, choice) for index, choice in enumerate(choices)],
        "usage": _usage(prompt_tokens(request.messages), choices),
    }


def _choice(index: int, choice: ResponseChoice) -> dict[str, Any]:
    message = {"role": "assistant", "content": choice.content}
    if choice.trace is not None:
        message["reasoning_content"] = choice.trace
    content: dict[str, Any] = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    return content if choice.logprobs is None else {**content, "logprobs": choice.logprobs}


def _usage(prompt: int, choices: Sequence[ResponseChoice]) -> dict[str, Any]:
    answer, reasoning = sum(choice.tokens for choice in choices), sum(choice.trace_tokens for choice in choices)
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return {**usage, "completion_tokens_details": {"reasoning_tokens": reasoning}} if reasoning else usage


def prompt_tokens(messages: Sequence[Message]) -> int:
    """Tokens of a conversation, with 4 for the special tokens around each turn."""
    return sum(count_tokens(message.content) + 4 for message in messages)


def content_filter() -> dict[str, Any]:
    """Error body for a prompt that the content filter rejected."""
    result = {"violence": {"filtered": True, "severity": "medium"}}
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result}
    message = "The response was filtered due to the prompt triggering the content management policy (simulated)."
    return {"error": {"code": "content_filter", "message": message, "status": 400, "innererror": inner}}


def gateway(status: int, message: str) -> dict[str, Any]:
    """Error body of the gateway of a serverless endpoint. It has no `error` object."""
    return {"statusCode": status, "message": message}


def error_body(code: str, message: str, **more: str) -> dict[str, Any]:
    """Error body of the server of the model."""
    return {"error": {"code": code, "message": message, **more}}


def invalid(message: str) -> HttpReply:
    return reply(400, error_body("invalid_request", message))


def unsupported(parameter: str) -> HttpReply:
    """Error of a reasoning model for a parameter."""
    message = f"Unsupported parameter: '{parameter}' is not supported with this model (simulated)."
    more = {"type": "invalid_request_error", "param": parameter}
    return reply(400, error_body("unsupported_parameter", message, **more))


def no_deployment(model: str) -> HttpReply:
    """Error of Azure for a model without a deployment in the resource."""
    message = f"This resource has no deployment '{model}'; a new one takes minutes to be known (simulated)."
    return reply(404, error_body("DeploymentNotFound", message))


def throttled(wait_s: float, drawn: float) -> HttpReply:
    """Error of a rate limit, in one of the two forms of real endpoints. Retry-After is an integer of seconds."""
    seconds = max(math.ceil(wait_s), 1)
    message = f"Rate limit is exceeded. Try again in {seconds} seconds (simulated)."
    body = gateway(429, message) if drawn < 0.5 else error_body("429", message)
    return reply(429, body, {"Retry-After": str(seconds)})


def server_error(drawn: float) -> HttpReply:
    return page((500, 502, 503)[int(drawn * 3)], "upstream failed")


def gateway_timeout() -> HttpReply:
    return page(504, "504 Gateway Time-out")


def not_ready() -> HttpReply:
    """Error of a serverless endpoint whose model is being loaded."""
    reason = {"ms-azureml-model-error-statuscode": "503", "ms-azureml-model-error-reason": "model_not_ready"}
    return reply(424, gateway(424, "The model is not ready (simulated)."), reason)


def reply(status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> HttpReply:
    return HttpReply(status, orjson.dumps(body), headers=headers or {})


def page(status: int, title: str) -> HttpReply:
    text = f"<html><head><title>{title}</title></head><body>{title} (simulated)</body></html>"
    return HttpReply(status, text.encode(), HTML)
