"""Compare the tokenizer of a white-box teacher with that of the student, where both are folders on this machine."""

from pathlib import Path
from typing import Any

import orjson

from azdistill.contracts.files import read_limited

# Largest file that is read. Files of 30 MB and more are left to step train, which compares the tokenizers itself.
MAX_BYTES = 20_000_000


def tokenizer_difference(teacher: Path, student: Path) -> str | None:
    """The first token id that is another token for the teacher, or the first merge that only one of both has, as text;
    None if there is none, or if it is unknown.

    Arguments are folders with tokenizer.json. Ids that only one of both has are not compared: one of them may have more
    tokens at its end. Merges are: a tokenizer with more of them splits text differently.
    """
    files = teacher / "tokenizer.json", student / "tokenizer.json"
    contents = [_content(path) for path in files]
    if contents[0] == contents[1]:
        return None
    documents = [_document(content) for content in contents]
    of_teacher, of_student = (_tokens(document, path.parent) for document, path in zip(documents, files, strict=True))
    different = [index for index in of_teacher.keys() & of_student.keys() if of_teacher[index] != of_student[index]]
    if different:
        first = min(different)
        return f"token {first} is {of_teacher[first]!r}, and {of_student[first]!r} for the student"
    return _other_merge(*map(_merges, documents))


def _other_merge(of_teacher: list[str], of_student: list[str]) -> str | None:
    """The first merge that only one tokenizer has. The order is not compared: files of one SentencePiece model differ
    in it. Nothing is known of a tokenizer without merges."""
    different = set(of_teacher) ^ set(of_student)
    if not different or not of_teacher or not of_student:
        return None
    merge = next(merge for merge in (*of_teacher, *of_student) if merge in different)
    return f"only that of {'the teacher' if merge in of_teacher else 'the student'} merges {merge!r} to one token"


def _content(path: Path) -> bytes:
    """The content of a file; empty for one that is missing, too large or unreadable."""
    try:
        return b"" if path.stat().st_size > MAX_BYTES else read_limited(path, MAX_BYTES)
    except OSError:
        return b""


def _document(content: bytes) -> Any:
    """The content of tokenizer.json; None where it is no JSON."""
    try:
        return orjson.loads(content)
    except ValueError:
        return None


def _merges(document: Any) -> list[str]:
    """The merges of a byte-pair encoding, each as two tokens with a space between; empty for another format."""
    try:
        merges = document["model"]["merges"]
        return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
    except (TypeError, KeyError):
        return []


def _tokens(document: Any, folder: Path) -> dict[int, str]:
    """Token by id of a tokenizer.json and the tokenizer_config.json next to it; empty where an id has two tokens, or in
    an unknown format."""
    try:
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
