"""Prompts as the teacher sees them: rendered, with the parameters of the call, and keyed by content."""

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson

from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import Prompting, TeacherConfig
from azdistill.teacher.endpoint import Endpoint


@dataclass(frozen=True)
class Question:
    """One request body, and the sha256 of everything that can change its answer."""

    key: str
    body: bytes


def render(messages: tuple[Message, ...], prompting: Prompting) -> list[dict[str, str]]:
    """The conversation as the teacher sees it: its own system prompt, then the student's view of the row."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    if prompting.system_prompt is None:
        return turns
    return [{"role": "system", "content": prompting.system_prompt}, *turns]


def question(messages: tuple[Message, ...], config: TeacherConfig, endpoint: Endpoint) -> Question:
    """The request for one conversation."""
    turns = render(messages, config.prompting)
    request: dict[str, Any] = {"model": endpoint.model, "messages": turns, **sampling(config, config.max_tokens)}
    keyed = orjson.dumps({"asked_at": endpoint.identity, **request}, option=orjson.OPT_SORT_KEYS)
    return Question(hashlib.sha256(keyed).hexdigest(), orjson.dumps(request))


def sampling(config: TeacherConfig, tokens: int) -> dict[str, Any]:
    """The parameters of a call. A reasoning model counts its thoughts among `tokens`, and refuses the others."""
    if config.teachers[0].reasoning:
        return {"max_completion_tokens": tokens}
    return {"temperature": config.temperature, "top_p": config.top_p, "max_tokens": tokens}
