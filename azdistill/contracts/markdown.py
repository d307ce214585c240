"""Escape text from data in Markdown."""

ESCAPES = str.maketrans({character: f"\\{character}" for character in r"\`*_[]|#~"} | {"<": "&lt;", "&": "&amp;"})


def inline(text: str) -> str:
    """Text for a Markdown paragraph or table cell: one line, without markup."""
    return " ".join(text.split()).translate(ESCAPES)
