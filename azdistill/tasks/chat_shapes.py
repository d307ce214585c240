"""Conversations as data sets and logs write them, converted to rows of chat messages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azdistill.tasks.fields import as_object, json_type
from azdistill.tasks.task import BadRow

# Roles of ShareGPT's files and of OpenAI's, by the role of a chat message.
ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_call": "call",
}
PLAIN_ROLES = ("system", "user", "assistant")
TEXT_PARTS = frozenset({"text", "input_text", "output_text"})


def turns_of(record: Mapping[str, Any]) -> Any:
    """The conversation of a row as a list of chat messages, or the value in its place; None for a row without one.
    Raises BadRow. It is read from one of

    - `messages`, as OpenAI's files have them, also as the JSON text of a cell
    - `conversations` or `conversation`: turns with `from` and `value` (ShareGPT), or with role and content
    - `prompt` and `completion` or `chosen`, or `chosen` alone, as lists of messages (TRL)
    - `body.messages`: a request of OpenAI's batch API

    A student's template may have no tools, so tools and their calls become text in the form of the Hermes and Qwen
    templates: `<tools>` in the system turn, `<tool_call>` in the assistant's, `<tool_response>` in the user's.
    """
    turns = _turns(record)
    if not isinstance(turns, list):
        return turns
    tools = record.get("tools") or record.get("functions")
    if not tools and all(_is_plain(turn) for turn in turns):
        return turns
    messages = list(_joined_responses([as_message(index, turn) for index, turn in enumerate(turns)]))
    return _with_tools(messages, tools) if tools else messages


def conversation_shape(record: Mapping[str, Any]) -> str | None:
    """Name of the form in which a row has its conversation; None for a row without one."""
    for name in ("messages", "conversations", "conversation"):
        if name in record:
            turns = record[name]
            first = turns[0] if isinstance(turns, list) and turns else None
            is_share_gpt = isinstance(first, dict) and "from" in first
            return "ShareGPT" if is_share_gpt else "chat messages" if name == "messages" else name
    prompt, answer = record.get("prompt"), record.get("completion", record.get("chosen"))
    if isinstance(prompt, list) or ("prompt" not in record and isinstance(answer, list)):
        return "prompts as messages"
    return "batch requests" if isinstance(record.get("body"), dict) else None


def _turns(record: Mapping[str, Any]) -> Any:
    """The turns as the row has them. A null is a conversation without turns."""
    for name in ("messages", "conversations", "conversation"):
        if name in record and record[name] is None:
            return []
        if name in record:
            return [*_system_turn(record), *turns] if isinstance(turns := _parsed(record[name]), list) else turns
    prompt, answer = record.get("prompt"), record.get("completion", record.get("chosen"))
    if isinstance(prompt, list):
        return [*prompt, *_answer_turns(answer)]
    if "prompt" not in record and isinstance(answer, list):
        return answer
    body = record.get("body")
    return body.get("messages") if isinstance(body, dict) else None


def _parsed(turns: Any) -> Any:
    """Turns as a list, also where the cell of a CSV file has them as JSON."""
    if not isinstance(turns, str) or not turns.lstrip().startswith("["):
        return turns
    try:
        return json.loads(turns)
    except (ValueError, RecursionError):
        return turns


def _system_turn(record: Mapping[str, Any]) -> list[Any]:
    """The system prompt that ShareGPT's files have next to the turns."""
    text = record.get("system")
    return [{"role": "system", "content": text}] if text and isinstance(text, str) else []


def _answer_turns(answer: Any) -> list[Any]:
    if isinstance(answer, list):
        return answer
    return [] if answer is None else [{"role": "assistant", "content": answer}]


def _is_plain(turn: Any) -> bool:
    """True for a turn that needs no conversion, or that is no turn and is rejected as it is."""
    if not isinstance(turn, dict):
        return True
    is_text = isinstance(turn.get("content"), str) and turn.get("role") in PLAIN_ROLES
    return is_text and not turn.get("tool_calls") and not turn.get("function_call")


def as_message(index: int, turn: Any) -> Any:
    """A turn with one of the three roles and text as content, and its weight."""
    if not isinstance(turn, dict):
        return turn
    name = turn.get("role", turn.get("from"))
    role = ROLES.get(name, name) if isinstance(name, str) else name
    content = _text(f"messages[{index}].content", turn.get("content", turn.get("value")))
    if role == "tool":
        return {"role": "user", "content": _tagged("tool_response", content), "is_response": True}
    if role == "call":
        role, content = "assistant", _tagged("tool_call", content)
    elif calls := [_tagged("tool_call", json.dumps(call, ensure_ascii=False)) for call in _calls(turn)]:
        if content and not isinstance(content, str):
            raise BadRow("not_text", f"messages[{index}].content is {json_type(content)}, not text")
        content = "\n".join([content, *calls] if content else calls)
    return {**turn, "role": role, "content": content}


def _text(field: str, content: Any) -> Any:
    """The text of a list of text parts; other content as it is. Bedrock's parts have no type."""
    if not isinstance(content, list):
        return content
    texts = []
    for part in content:
        kind = str(part.get("type", "text")) if isinstance(part, dict) else "no object"
        if kind not in TEXT_PARTS or not isinstance(part.get("text"), str):
            raise BadRow("not_text", f"{field} has a part that is not text ({ascii(kind)[1:-1][:60]})")
        texts.append(part["text"])
    return "\n".join(texts)


def _calls(turn: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Name and arguments of each call of a turn. Arguments that are JSON text become values."""
    calls = turn.get("tool_calls") or turn.get("function_call") or ()
    for call in calls if isinstance(calls, list | tuple) else [calls]:
        function = as_object(as_object(call).get("function")) or as_object(call)
        arguments = function.get("arguments")
        try:
            values = json.loads(arguments) if isinstance(arguments, str) else arguments
        except (ValueError, RecursionError):
            values = arguments
        yield {"name": function.get("name"), "arguments": values}


def _tagged(tag: str, content: Any) -> Any:
    return f"<{tag}>\n{content}\n</{tag}>" if isinstance(content, str) else content


def _joined_responses(messages: Sequence[Any]) -> Iterator[Any]:
    """The messages, with the responses of several tools in one user turn."""
    waiting: list[str] = []
    for message in [*messages, None]:
        if isinstance(message, dict) and message.pop("is_response", False) and isinstance(message["content"], str):
            waiting.append(message["content"])
            continue
        if waiting:
            yield {"role": "user", "content": "\n".join(waiting)}
            waiting = []
        if message is not None:
            yield message


def _with_tools(messages: list[Any], tools: Any) -> list[Any]:
    """The messages with the tools in the system turn."""
    lines = [json.dumps(tool, ensure_ascii=False) for tool in (tools if isinstance(tools, list) else [tools])]
    text = _tagged("tools", "\n".join(lines))
    first = messages[0] if messages else None
    if isinstance(first, dict) and first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
