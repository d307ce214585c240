"""Expert for new prompts: combines parts of the examples, with other numbers."""

import hashlib
import json
import re
from collections.abc import Sequence
from itertools import zip_longest

from azdistill.contracts.augmenting import read_request
from azdistill.contracts.rows import Message

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")
_LABELLED = re.compile(r"([^\W\d_][^:\n]{0,30}:\s|\(?[A-Ja-j][.)]\s)?(.*)", re.DOTALL)


def answer(messages: Sequence[Message]) -> str:
    """A JSON array of new prompts: the beginning of each line of an example, and the end of that of another one."""
    request = read_request(messages)
    examples, count = request.examples, len(request.examples)
    texts = []
    for index in range(request.count):
        first, second = examples[index % count], examples[(index + 1 + index // count) % count]
        texts.append(_renumbered(_combined(first, second), f"{request.number} {index}"))
    return json.dumps(texts, ensure_ascii=False)


def wrong_answer(messages: Sequence[Message]) -> str:
    """The examples again."""
    return json.dumps(read_request(messages).examples, ensure_ascii=False)


def _combined(first: str, second: str) -> str:
    lines = zip_longest(first.split("\n"), second.split("\n")[: first.count("\n") + 1], fillvalue="")
    return "\n".join(_combined_line(line, other) for line, other in lines)


def _combined_line(first: str, second: str) -> str:
    """The label and the first half of a line, and the second half of another line: of their sentences or words."""
    label, text = _parts(first)
    _, other = _parts(second)
    sentences, others = _SENTENCE_ENDS.split(text), _SENTENCE_ENDS.split(other)
    if len(sentences) == 1 or len(others) == 1:
        sentences, others = text.split(), other.split()
    half = (len(sentences) + 1) // 2
    return label + " ".join(sentences[:half] + others[(len(others) + 1) // 2 :])


def _parts(line: str) -> tuple[str, str]:
    match = _LABELLED.fullmatch(line)
    assert match
    return match[1] or "", match[2]


def _renumbered(text: str, key: str) -> str:
    """The text with other numbers of as many digits, as a hash of `key` and their position decides."""

    def other(number: re.Match[str]) -> str:
        digest = hashlib.sha256(f"{key} {number.start()}".encode()).digest()
        lowest = 10 ** (len(number[0]) - 1)
        return str(lowest + int.from_bytes(digest[:6]) % (9 * lowest))

    return re.sub(r"\d+", other, text)
