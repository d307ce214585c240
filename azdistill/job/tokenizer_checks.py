"""Compare the tokenizer of a white-box teacher with that of the student, where both are folders on this machine."""

from pathlib import Path
from typing import Any

import orjson

from azdistill.contracts.files import read_limited

# Largest file that is read. Files of 30 MB and more are left to step train, which compares the tokenizers itself.
MAX_BYTES = 20_000_000


def other_token(teacher: Path, student: Path) -> str | None:
    """The first token id that is another token for the teacher, as text; None if there is none, or if it is unknown.

    Arguments are folders with tokenizer.json. Ids that only one of both has are not compared: one of them may have more
    tokens at its end.
    """
    files = teacher / "tokenizer.json", student / "tokenizer.json"
    contents = [_content(path) for path in files]
    if contents[0] == contents[1]:
        return None
    of_teacher, of_student = (_tokens(content, path.parent) for content, path in zip(contents, files, strict=True))
    different = [index for index in of_teacher.keys() & of_student.keys() if of_teacher[index] != of_student[index]]
    if not different:
        return None
    first = min(different)
    return f"token {first} is {of_teacher[first]!r}, and {of_student[first]!r} for the student"


def _content(path: Path) -> bytes:
    """The content of a file; empty for one that is missing, too large or unreadable."""
    try:
        return b"" if path.stat().st_size > MAX_BYTES else read_limited(path, MAX_BYTES)
    except OSError:
        return b""


def _tokens(content: bytes, folder: Path) -> dict[int, str]:
    """Token by id of a tokenizer.json and the tokenizer_config.json next to it; empty where an id has two tokens, or in
    an unknown format."""
    try:
        document = orjson.loads(content)
        vocabulary = document["model"]["vocab"]
        if isinstance(vocabulary, list):  # of Unigram: tokens with their scores
            pairs = [(index, token) for index, (token, _) in enumerate(vocabulary)]
        else:
            pairs = [(index, token) for token, index in vocabulary.items()]
        pairs += [(token["id"], token["content"]) for token in document.get("added_tokens", ())]
        pairs += _added_later(folder)
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    tokens = dict(pairs)
    return tokens if all(tokens[index] == token for index, token in pairs) else {}


def _added_later(folder: Path) -> list[tuple[int, str]]:
    """The added tokens of tokenizer_config.json, with which transformers extends the vocabulary."""
    content = _content(folder / "tokenizer_config.json")
    added: dict[str, Any] = orjson.loads(content).get("added_tokens_decoder", {}) if content else {}
    return [(int(index), token["content"]) for index, token in added.items()]
