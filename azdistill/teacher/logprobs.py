"""Log probabilities of a teacher's answers: whether it gives any, whether something can be learned from them, and
the way from an endpoint's JSON into the files that training reads."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import orjson

from azdistill.contracts.logprobs import LogprobsWriter, Positions
from azdistill.teacher.replies import Answer, RowRejected, read_reply

UNTOLD = -9999.0
"""In OpenAI's API the log probability of a token that is none of the 20 likeliest, in vLLM of an impossible one."""
ROUNDING = 0.01  # bfloat16, or two digits
END_MARKS = 2  # tokens after the answer: white space that was stripped off, and an end mark such as <|im_end|>
CONTENT_FILTER = "content_filter"

Lack = Literal["absent", "malformed", "degenerate", "misaligned"]
"""Why an answer has no log probabilities that can be learned from."""

LACKS: Mapping[Lack, str] = {
    "absent": "it takes the parameter and sends none",
    "malformed": "what it sends has another form than OpenAI's",
    "degenerate": "they are no probabilities of a model: 0 and -9999, above 0, or more than 1 together",
    "misaligned": "their tokens do not spell the answer",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """Whether an endpoint gives log probabilities, None where the reply can't tell; and in one sentence why not."""

    offered: bool | None
    why: str = ""


def read_offer(status: int, headers: Mapping[str, str], body: bytes) -> Offer:
    """Judge the reply to a short question that asks for log probabilities, after the same one without was answered:
    what refuses this one refuses them."""
    reply = read_reply(status, headers, body)
    if isinstance(reply, Answer):
        found = _checked(reply.logprobs) if not reply.completion else judge(reply.logprobs, reply.completion)
        return Offer(True) if isinstance(found, Positions) else Offer(False, LACKS[found])
    if isinstance(reply, RowRejected) and reply.reason != CONTENT_FILTER:
        return Offer(False, f"it refuses them ({reply.detail})")
    return Offer(None, reply.detail)


def judge(logprobs: bytes | None, completion: str) -> Positions | Lack:
    """The log probabilities of a completion, from the JSON list of all tokens of its reply; or why there are none.
    Tokens before it (what was thought, and its marks) are left out, and so are the last ones after it."""
    return _checked(logprobs, completion.encode())


def _checked(logprobs: bytes | None, said: bytes | None = None) -> Positions | Lack:
    if not logprobs or said == b"":
        return "absent"
    try:
        positions = _positions(orjson.loads(logprobs))
    except (KeyError, TypeError, AttributeError, ValueError):
        return "malformed"
    kept = _spelling(positions.tokens, said) if said is not None else slice(None)
    if kept is None:
        return "misaligned"
    found = Positions(positions.tokens[kept], positions.logprobs[kept], positions.tops[kept])
    if not any(found.tops):
        return "absent"
    return "degenerate" if _is_degenerate(found) else found


def _positions(content: Sequence[Mapping[str, Any]]) -> Positions:
    tokens = [_token(entry) for entry in content]
    logprobs = [_logprob(entry) for entry in content]
    return Positions(tokens, logprobs, [_tops(entry.get("top_logprobs") or ()) for entry in content])


def _tops(entries: Sequence[Mapping[str, Any]]) -> list[tuple[bytes, float]]:
    """Without those whose probability is none."""
    found = [(_token(entry), _logprob(entry)) for entry in entries]
    return [(token, logprob) for token, logprob in found if logprob > UNTOLD]


def _token(entry: Mapping[str, Any]) -> bytes:
    """A part of a character has no text of its own, so bytes count where they are told."""
    given, text = entry.get("bytes"), entry["token"]
    if given is None:
        return str.encode(text)
    if not isinstance(given, list):
        raise TypeError(f"bytes is {type(given).__name__}")
    return bytes(given)


def _logprob(entry: Mapping[str, Any]) -> float:
    value: float = entry["logprob"]
    return value if value > UNTOLD else -math.inf


def _spelling(tokens: Sequence[bytes], said: bytes) -> slice | None:
    """The tokens that spell what was said: those at the end, but for an end mark. The first may begin with white space
    that was stripped off. None when it begins with more than that, or when other text came."""
    ends = [0, *accumulate(map(len, tokens))]
    whole = b"".join(tokens)
    for stop in range(len(tokens), max(len(tokens) - END_MARKS, 0) - 1, -1):
        begin = ends[stop] - len(said)
        if whole.endswith(said, 0, ends[stop]):
            return _from(begin, ends, whole, stop)
    return None


def _from(begin: int, ends: Sequence[int], whole: bytes, stop: int) -> slice | None:
    first = bisect_left(ends, begin)
    if ends[first] == begin:
        return slice(first, stop)
    stripped = whole[ends[first - 1] : begin].decode(errors="replace")
    return slice(first - 1, stop) if stripped.isspace() else None


def _is_degenerate(positions: Positions) -> bool:
    """A single place may be certain, or its token an unlikely one; when most are certain nothing is told."""
    pairs = list(zip(positions.logprobs, positions.tops, strict=True))
    if any(_is_impossible([logprob for _, logprob in tops], chosen) for chosen, tops in pairs):
        return True
    return 2 * sum(chosen >= 0 and len(tops) <= 1 for chosen, tops in pairs) > len(pairs)


def _is_impossible(logprobs: Sequence[float], chosen: float) -> bool:
    return max(chosen, *logprobs, -math.inf) > ROUNDING or sum(map(math.exp, logprobs)) > 1 + ROUNDING


def write_logprobs(folder: Path, answers: Iterable[tuple[str, Answer]], top: int) -> dict[str, Any]:
    """Write those of `answers`, by key of the store; a key that comes again is passed over. Returns what usage.json
    says: answers with and their tokens, answers without by reason, and the size of the files."""
    lacks, seen = Counter[Lack](), set[str]()
    with LogprobsWriter(folder, top) as writer:
        for key, answer in answers:
            if key not in seen:
                seen.add(key)
                found = judge(answer.logprobs, answer.completion)
                if isinstance(found, Positions):
                    writer.add(key, found)
                else:
                    lacks[found] += 1
    written = writer.written
    return {
        "rows": written.rows,
        "tokens": written.tokens,
        "bytes": written.bytes,
        "bytes_per_token": written.bytes_per_token,
        "without": lacks,
    }
