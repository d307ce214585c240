"""The chat wire format as Azure's endpoints speak it: what is asked, answered and refused.

Source: the chat completions reference of Azure AI Foundry and of serverless endpoints.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from azdistill.contracts.rows import Message, prompt_id

STAND_IN = "azdistill simulated teacher: a stand-in, not a language model"


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
    n: int = Field(1, ge=1, le=1)
    stream: Literal[False] = False

    @cached_property
    def conversation(self) -> str:
        """The id of the messages, which decides their luck."""
        return prompt_id(self.messages)

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


def count_tokens(text: str) -> int:
    """Words and marks, about what a tokenizer would count."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def first_tokens(text: str, count: int) -> str:
    """The part of `text` that `count_tokens` counts as the first `count`."""
    ends = [found.end() for found in re.finditer(r"\w+|[^\w\s]", text)]
    return text if count >= len(ends) else text[: ends[count - 1]]


def completion(request: ChatRequest, number: int, answer: str, finish_reason: str) -> dict[str, Any]:
    """A `chat.completion` body. Model and fingerprint say that it is a stand-in."""
    asked, answered = prompt_tokens(request.messages), count_tokens(answer)
    return {
        "id": f"simulated-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": f"{request.model} (simulated)",
        "system_fingerprint": STAND_IN,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered},
    }


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


def reply(status: int, body: dict[str, Any], **headers: str) -> web.Response:
    """An HTTP response with the header that says what answered. Names of headers come with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    text = orjson.dumps(body)
    return web.Response(
        status=status, body=text, content_type="application/json", headers={"x-azdistill-simulated": "true", **named}
    )
