"""Messages of the chat completions API whose content is a list of text parts."""

from typing import Any


def join_text_parts(message: Any) -> Any:
    """Join the content of a message if it is a list of text parts. Any other message is unchanged."""
    items = message.get("content") if isinstance(message, dict) else None
    if isinstance(items, list) and all(isinstance(item, dict) and item.get("type") == "text" for item in items):
        return {**message, "content": "".join(str(item.get("text", "")) for item in items)}
    return message
