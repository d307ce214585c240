"""Log probabilities of a teacher's answers: check them, and convert an endpoint's JSON into the files for training."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import orjson

from azdistill.teacher.logprobs_writer import LogprobsWriter, TokenLogprobs
from azdistill.teacher.replies import Answer, RowRejected, read_reply

# OpenAI's API returns this for a token that is not among the 20 likeliest, vLLM for an impossible one.
UNKNOWN_LOGPROB = -9999.0
# Tolerance for probabilities rounded to bfloat16 or two digits.
ROUNDING = 0.01
# Tokens after the answer: stripped white space, and an end token such as <|im_end|>.
MOST_END_TOKENS = 2
CONTENT_FILTER = "content_filter"

# Why the log probabilities of an answer cannot be used for training.
Unusable = Literal["absent", "malformed", "degenerate", "misaligned"]

EXPLANATIONS: Mapping[Unusable, str] = {
    "absent": "it accepts the parameter and returns none",
    "malformed": "it returns them in another form than OpenAI's",
    "degenerate": "they are no probabilities of a model: 0 and -9999, above 0, or with a sum above 1",
    "misaligned": "their tokens do not spell the answer",
}


@dataclass(frozen=True, slots=True)
class LogprobsSupport:
    """Support of log probabilities by an endpoint. None: unknown from this reply. `reason` says why not."""

    supported: bool | None
    reason: str = ""


def check_support(status: int, headers: Mapping[str, str], body: bytes) -> LogprobsSupport:
    """Check the reply to a short request for log probabilities.

    The same request without them has succeeded, so that an error is about the log probabilities.
    """
    reply = read_reply(status, headers, body)
    if isinstance(reply, Answer):
        result = parse_logprobs(reply.logprobs, reply.completion or None)
        return LogprobsSupport(True) if isinstance(result, TokenLogprobs) else _unsupported(EXPLANATIONS[result])
    if isinstance(reply, RowRejected) and reply.reason != CONTENT_FILTER:
        return _unsupported(f"it rejects the parameter ({reply.detail})")
    return LogprobsSupport(None, reply.detail)


def _unsupported(reason: str) -> LogprobsSupport:
    return LogprobsSupport(False, reason)


def parse_logprobs(logprobs: bytes | None, completion: str | None) -> TokenLogprobs | Unusable:
    """Parse the JSON list of all tokens of a reply and select the tokens of `completion`; None selects all of them.

    Tokens before the completion (the reasoning) and end tokens after it are left out. Returns the reason if the log
    probabilities cannot be used.
    """
    if not logprobs or completion == "":
        return "absent"
    try:
        tokens = _parse(orjson.loads(logprobs))
    except (KeyError, TypeError, AttributeError, ValueError):
        return "malformed"
    selected = slice(None) if completion is None else _find_completion(tokens.tokens, completion.encode())
    if selected is None:
        return "misaligned"
    tokens = TokenLogprobs(tokens.tokens[selected], tokens.logprobs[selected], tokens.top_logprobs[selected])
    if not any(tokens.top_logprobs):
        return "absent"
    return "degenerate" if _is_degenerate(tokens) else tokens


def _parse(content: Sequence[Mapping[str, Any]]) -> TokenLogprobs:
    return TokenLogprobs(
        [_token(entry) for entry in content],
        [_logprob(entry) for entry in content],
        [_top_logprobs(entry.get("top_logprobs") or ()) for entry in content],
    )


def _top_logprobs(entries: Sequence[Mapping[str, Any]]) -> list[tuple[bytes, float]]:
    """The likeliest tokens, without those of unknown probability."""
    pairs = [(_token(entry), _logprob(entry)) for entry in entries]
    return [(token, logprob) for token, logprob in pairs if logprob > UNKNOWN_LOGPROB]


def _token(entry: Mapping[str, Any]) -> bytes:
    """The bytes of a token. Its text is not enough: a token may be a part of a character."""
    values, text = entry.get("bytes"), entry["token"]
    if values is None:
        return str.encode(text)
    if not isinstance(values, list):
        raise TypeError(f"bytes is {type(values).__name__}")
    return bytes(values)


def _logprob(entry: Mapping[str, Any]) -> float:
    value: float = entry["logprob"]
    return value if value > UNKNOWN_LOGPROB else -math.inf


def _find_completion(tokens: Sequence[bytes], completion: bytes) -> slice | None:
    """Find the tokens that spell the completion: the last ones, apart from end tokens. None if there are none."""
    ends = [0, *accumulate(map(len, tokens))]
    text = b"".join(tokens)
    for stop in range(len(tokens), max(len(tokens) - MOST_END_TOKENS, 0) - 1, -1):
        if text.endswith(completion, 0, ends[stop]):
            first = _find_first(ends[stop] - len(completion), ends, text)
            return None if first is None else slice(first, stop)
    return None


def _find_first(begin: int, ends: Sequence[int], text: bytes) -> int | None:
    """Index of the token at byte `begin`. It may start earlier, with white space that was stripped from the answer."""
    first = bisect_left(ends, begin)
    if ends[first] == begin:
        return first
    stripped = text[ends[first - 1] : begin].decode(errors="replace")
    return first - 1 if stripped.isspace() else None


def _is_degenerate(tokens: TokenLogprobs) -> bool:
    """True if the values are no probabilities. One token may be certain; if most are, they contain no information."""
    pairs = list(zip(tokens.logprobs, tokens.top_logprobs, strict=True))
    if any(_is_impossible([logprob for _, logprob in top], chosen) for chosen, top in pairs):
        return True
    return 2 * sum(chosen >= 0 and len(top) <= 1 for chosen, top in pairs) > len(pairs)


def _is_impossible(logprobs: Sequence[float], chosen: float) -> bool:
    return max(chosen, *logprobs, -math.inf) > ROUNDING or sum(map(math.exp, logprobs)) > 1 + ROUNDING


def write_logprobs(folder: Path, answers: Iterable[tuple[str, Answer]], top: int) -> dict[str, Any]:
    """Write the log probabilities of `answers` (store key and answer) into `folder`. A repeated key is skipped.

    Returns the figures for usage.json: answers and tokens written, answers without by reason, size of the files.
    """
    without, keys = Counter[Unusable](), set[str]()
    with LogprobsWriter(folder, top) as writer:
        for key, answer in answers:
            if key in keys:
                continue
            keys.add(key)
            result = parse_logprobs(answer.logprobs, answer.completion)
            if isinstance(result, TokenLogprobs):
                writer.add(key, result)
            else:
                without[result] += 1
    written = writer.written
    return {
        "rows": written.rows,
        "tokens": written.tokens,
        "bytes": written.bytes,
        "bytes_per_token": written.bytes_per_token,
        "without": without,
    }
