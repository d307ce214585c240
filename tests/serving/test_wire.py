"""Bodies of requests: what is accepted, and the error of what the student cannot do."""

from typing import Any

import orjson
import pytest

from azdistill.serving.wire import InvalidRequest, read_request

MESSAGES = [{"role": "user", "content": "Hi"}]


def read(**fields: Any) -> Any:
    return read_request(orjson.dumps({"messages": MESSAGES, **fields}))


def test_parameters_without_effect_on_a_greedy_answer_are_accepted() -> None:
    request = read(
        model="any",
        temperature=0.0,
        top_p=0.5,
        seed=7,
        n=1,
        logprobs=False,
        stop=None,
        response_format={"type": "text"},
        max_tokens=5,
        max_completion_tokens=9,
    )
    assert (request.token_limit, request.stream) == (9, False)


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "text", "text": "there"}]
    assert read(messages=[{"role": "user", "content": parts}]).messages[0].content == "Hi there"


@pytest.mark.parametrize(
    ("fields", "parameter", "message"),
    [
        ({"temperature": 0.7}, "temperature", "temperature=0.7 is not supported: "),
        ({"n": 2}, "n", "leave it out, or send 1"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"stop": ["\n"]}, "stop", "not supported"),
        ({"tools": [{"type": "function"}]}, "tools", "not supported"),
        ({"response_format": {"type": "json_object"}}, "response_format", 'send {"type":"text"}'),
        ({"max_tokens": 0}, "max_tokens", "max_tokens=0: must be at least 1"),
        ({"max_tokens": "many"}, "max_tokens", "must be a whole number"),
        ({"max_token": 5}, "max_token", "unknown parameter 'max_token'; did you mean 'max_tokens'?"),
        ({"messages": []}, "messages", "must have at least 1 entries"),
        ({"messages": "Hi"}, "messages", "must be a list"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "must be 'system', 'user' or"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages.0.content", "must be text"),
        ({"stream_options": {"include": True}}, "stream_options.include", "unknown field"),
    ],
)
def test_what_the_student_cannot_do_is_named(fields: dict[str, Any], parameter: str, message: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(**fields)
    assert refused.value.parameter == parameter
    assert message in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_must_be_a_json_object(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        read_request(body)
