"""Requests and answers in the logs of models: stored completions, and traffic that a service recorded.

The answer in a log is a teacher's, and no reference: `request_of` leaves it out, and teacher.completions imports it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azdistill.tasks.chat_shapes import as_message
from azdistill.tasks.fields import as_object, json_type
from azdistill.tasks.task import BadRow

# Types of lines that Azure ML's data collector writes, each in a file of its own. Source:
# https://learn.microsoft.com/azure/machine-learning/how-to-collect-production-data
COLLECTED_REQUEST = "azureml.inference.request"
COLLECTED_RESPONSE = "azureml.inference.response"

# Reasons of Bedrock by those of chat completions. Source:
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html (stopReason)
STOP_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "stop",
    "max_tokens": "length",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}

# Fields of a stored completion that belong to the answer.
_OF_COMPLETIONS = frozenset({"choices", "usage", "object", "created", "system_fingerprint", "request_id", "input_user"})


@dataclass(frozen=True)
class LoggedAnswer:
    """An answer as text, why it ended as chat completions name it, its model, and the tokens that were counted."""

    text: str
    finish_reason: str
    model: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


def request_of(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request in a line of a log as a row without its answer; another row as it is.

    - a request that Azure ML's data collector wrote: its body
    - an invocation log of Bedrock: the messages of `input.inputBodyJson`, with its system prompt and tools
    - a stored completion of OpenAI or Azure OpenAI with its `messages`

    Raises BadRow for a body that is not JSON, that is in a file of its own, or that is a response.
    """
    kind = record.get("type")
    if kind == COLLECTED_RESPONSE:
        raise BadRow("not_a_request", "the line is a collected response; name the folder of the requests")
    if kind == COLLECTED_REQUEST and "data" in record:
        if not isinstance(record["data"], dict):
            raise BadRow("not_an_object", f"data of the collected request is {json_type(record['data'])}, no object")
        return record["data"]
    if (body := bedrock_request(record)) is not None:
        tools = body.get("tools") or as_object(body.get("toolConfig")).get("tools")
        others = {name: value for name, value in record.items() if name not in ("input", "output")}
        return {**others, **({"tools": tools} if tools else {}), "messages": _bedrock_messages(body)}
    if "messages" in record and isinstance(record.get("choices"), list):
        return {name: value for name, value in record.items() if name not in _OF_COMPLETIONS}
    return record


def log_name(record: Mapping[str, Any]) -> str | None:
    """Name of the log that a line is of; None for another row."""
    if record.get("type") in (COLLECTED_REQUEST, COLLECTED_RESPONSE):
        return "traffic of the data collector"
    if isinstance(as_object(record.get("input")).get("inputBodyJson"), dict):
        return "Bedrock log"
    is_stored = "messages" in record and isinstance(record.get("choices"), list)
    return "stored completions" if is_stored else None


def answer_of(record: Mapping[str, Any]) -> LoggedAnswer | None:
    """The answer in a line of a log; None without one. Raises BadRow for an answer that is not text."""
    if record.get("type") == COLLECTED_RESPONSE:
        return _of_completion(as_object(record.get("data")))
    if bedrock_request(record) is not None:
        return _of_bedrock(record)
    return _of_completion(record)


def bedrock_request(record: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The request of an invocation log of Bedrock; None for another row.

    Raises BadRow for one that the log has as a file in S3. Source:
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
    """
    request = as_object(record.get("input"))
    if "inputBodyS3Path" in request and "inputBodyJson" not in request:
        raise BadRow("not_an_object", f"the request is in a file of its own, {request['inputBodyS3Path']!r}")
    body = as_object(request.get("inputBodyJson"))
    return body if "messages" in body else None


def _bedrock_messages(body: Mapping[str, Any]) -> Any:
    system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
    turns = body["messages"]
    return [*system, *turns] if isinstance(turns, list) else turns


def _of_bedrock(record: Mapping[str, Any]) -> LoggedAnswer | None:
    """The answer of Converse, or of InvokeModel with the messages API of Anthropic."""
    output = as_object(record.get("output"))
    body = as_object(output.get("outputBodyJson"))
    message = as_object(as_object(body.get("output")).get("message")) or body
    text = _text(message)
    if text is None:
        return None
    reason = body.get("stopReason", body.get("stop_reason"))
    return LoggedAnswer(
        text,
        STOP_REASONS.get(str(reason), str(reason)) if reason else "stop",
        _name(record.get("modelId")),
        _tokens(as_object(record.get("input")).get("inputTokenCount")),
        _tokens(output.get("outputTokenCount")),
    )


def _of_completion(body: Mapping[str, Any]) -> LoggedAnswer | None:
    """The first choice of a chat completion.

    Source: https://platform.openai.com/docs/api-reference/chat/object
    """
    choices = body.get("choices")
    choice = as_object(choices[0]) if isinstance(choices, list) and choices else {}
    text, usage = _text(as_object(choice.get("message"))), as_object(body.get("usage"))
    if text is None:
        return None
    return LoggedAnswer(
        text,
        str(choice.get("finish_reason") or "stop"),
        _name(body.get("model")),
        _tokens(usage.get("prompt_tokens")),
        _tokens(usage.get("completion_tokens")),
    )


def _text(message: Mapping[str, Any]) -> str | None:
    """The text of an assistant message, its tool calls included; None without any."""
    if not message:
        return None
    content = as_message(0, {**message, "role": "assistant"})["content"]
    return content if isinstance(content, str) and content else None


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _tokens(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
