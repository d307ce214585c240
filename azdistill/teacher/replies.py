"""Parse an endpoint's reply: an answer, a row that is rejected, a retry, or an endpoint that refuses every row.

The status code decides, never the text of a message. Source: the error shapes of Azure's serverless and Foundry
endpoints.
"""

import email.utils
import json
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from azdistill.contracts.reasoning import END_THINK, THINK

RETRIED = frozenset({408, 424, 429})
FATAL = {
    401: "the key was refused; check key_variable and that the key belongs to this endpoint",
    403: "access is denied; check the key's rights and the endpoint's network rules",
    404: "no such model or path; check model and endpoint",
}
# A wrong clock must not park a row for a day.
LONGEST_RETRY_AFTER_S = 900.0
# More tokens than any context window has: a larger count is a fault of the endpoint.
MOST_TOKENS = 10_000_000
LONGEST_NAME = 200  # of a model or a finish_reason
LOGPROBS = re.compile(rb'"logprobs"\s*:\s*\{\s*"content"\s*:\s*(?=\[)')
# The last token's last likely token, their list, the token, the list of tokens.
LAST_TOKEN = b"}]}]"
TOP_LOGPROBS, ANOTHER_LIST = b'"top_logprobs":', b'"logprobs"'
PLACEHOLDER = "taken out"
# Reason of a retry after a reply that was cut off on the way, and may have been billed.
CUT = "cut_reply"
# finish_reason of an answer that has the scores of given tokens, as JSON in its `logprobs`.
SCORED = "scored"
# Reasons of rejected rows whose reply has status 200, and may have been billed.
NO_COMPLETION, TOO_LONG = "not_a_completion", "reply_too_long"


@dataclass(frozen=True, slots=True)
class Answer:
    """A teacher's answer and its token counts as the endpoint reports them; 0 where it reports no plausible count.

    `trace` is the reasoning before the answer; its tokens are part of `completion_tokens`. `logprobs` is the JSON list
    of all these tokens with their log probabilities, as it came, not parsed. `model` is the name that the endpoint
    reports: the version behind a deployment may change. `attempts` is the number of calls until it arrived, None in
    answers that were stored by an earlier version.
    """

    completion: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    trace: str | None = None
    logprobs: bytes | None = None
    model: str | None = None
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class RowRejected:
    """The teacher will never answer this request, or gave no usable answer.

    `gave_up`: no attempt had a reply to the request, so the endpoint is at fault.
    """

    reason: str
    detail: str
    gave_up: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """The request must be sent again, after `after_s` seconds if the endpoint states a time.

    `throttled`: a rate limit refused it, so the row is not at fault.
    """

    reason: str
    detail: str
    after_s: float | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class EndpointFailed:
    """The endpoint refuses every row: nothing more is sent to it."""

    detail: str


Outcome = Answer | RowRejected
ParsedReply = Outcome | Retry | EndpointFailed
# Reads an answer from the JSON of a reply with status 200.
ReadAnswer = Callable[[Any], Outcome]


def read_reply(
    status: int, headers: Mapping[str, str], body: bytes, read_answer: ReadAnswer | None = None
) -> ParsedReply:
    """Parse one HTTP reply. `headers` ignore case, as aiohttp's do. `read_answer` reads another answer than that of a
    chat completion."""
    content, logprobs = (_json(body), None) if read_answer else _parse(body)
    if status == HTTPStatus.OK:
        if content is None and _is_cut(body):
            return _cut_reply(body)
        return read_answer(content) if read_answer else _answer(content, logprobs)
    detail = f"HTTP {status}: {message(content, body)}"
    if status in RETRIED or status >= 500:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        after_s = retry_after(headers.get("Retry-After"), headers.get("Date"))
        return Retry(f"http_{status}", detail, after_s, throttled)
    if status in FATAL:
        return EndpointFailed(f"{FATAL[status]} ({detail})")
    if 300 <= status < 400:
        return EndpointFailed(f"it redirects to {headers.get('Location', '?')!r}; set endpoint to that address")
    return RowRejected("content_filter" if _is_filtered(content) else f"http_{status}", detail)


def retry_after(text: str | None, sent: str | None = None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date; None when it holds neither.

    A date counts from the reply's own Date header, `sent`: the clock of this machine may differ or jump.
    """
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        date = http_date(text)
        if date is None:
            return None
        sent_at = http_date(sent or "")
        seconds = date - (time.time() if sent_at is None else sent_at)
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S)


def http_date(text: str) -> float | None:
    """Seconds since the epoch of an HTTP date; None for anything else, such as a date in the year 99999."""
    try:
        date = email.utils.parsedate_tz(text)
        return email.utils.mktime_tz(date) if date else None
    except (ValueError, OverflowError, IndexError, TypeError):
        return None


def _parse(body: bytes) -> tuple[Any, bytes | None]:
    """The JSON of a reply, and its log probabilities unparsed: 1,500 tokens with five likely ones each are 600 KB,
    which would block the event loop for 5 ms. Log probabilities in an unusual form are parsed with the rest."""
    if tokens := _find_tokens(body):
        content = _json(b'%b"%b"%b' % (body[: tokens.start], PLACEHOLDER.encode(), body[tokens.stop :]))
        if content is not None:
            return content, body[tokens]
    content = _json(body)
    return _tolerant_json(body) if content is None else content, None


def _find_tokens(body: bytes) -> slice | None:
    """Position of the first list of tokens with log probabilities.

    Quotes are escaped within a JSON string, so what looks like a key is one. What looks like the end may stand within
    a token or after the list. It is the end if the last token with likely ones ends there, and no other list begins
    before.
    """
    begin = LOGPROBS.search(body)
    if not begin:
        return None
    tokens = slice(begin.end(), body.find(LAST_TOKEN, begin.end()) + len(LAST_TOKEN))
    last = body.rfind(TOP_LOGPROBS, tokens.start, tokens.stop)
    is_complete = last > 0 and _json(b"{%b" % body[last : tokens.stop - 1]) is not None
    return tokens if is_complete and body.find(ANOTHER_LIST, tokens.start, tokens.stop) < 0 else None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _tolerant_json(body: bytes) -> Any:
    """Parse JSON with what orjson refuses: numbers of any size, NaN, control characters, half of a surrogate pair,
    invalid UTF-8, more text after the end. Such a number becomes None, and such a character U+FFFD. None if there is no
    JSON."""
    try:
        content, _ = TOLERANT.raw_decode(body.decode("utf-8-sig", "replace").lstrip())
        text = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return orjson.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


TOLERANT = json.JSONDecoder(
    parse_int=lambda text: int(text) if len(text) < len(str(2**53)) else None,
    parse_float=_finite,
    parse_constant=lambda _: None,
    strict=False,
)


def _is_cut(body: bytes) -> bool:
    """True for a body that is no JSON, but begins as a reply does: the connection or a gateway lost its end."""
    return body.lstrip()[:1] in (b"{", b"")


def _cut_reply(body: bytes) -> Retry:
    return Retry(CUT, f"HTTP 200 with an incomplete reply: {len(body)} bytes of JSON without its end")


def _answer(content: Any, logprobs: bytes | None) -> ParsedReply:
    try:
        choice = content["choices"][0]
        text, trace = _text_and_trace(choice["message"])
        reason = _name(choice.get("finish_reason")) or "missing"
        tokens = _logprobs(choice.get("logprobs"), logprobs)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        return RowRejected(NO_COMPLETION, f"HTTP 200 without a chat completion in it ({error!r})")
    return Answer(text, reason, *token_counts(content), trace, tokens, reported_model(content))


def reported_model(content: Mapping[str, Any]) -> str | None:
    """The model's name in a reply. All answers share one string."""
    model = _name(content.get("model"))
    return sys.intern(model) if model else None


def _name(value: Any) -> str | None:
    """A name or code of the endpoint; None for what is no text, or far too long."""
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME else None


def token_counts(content: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt and completion tokens of a reply; 0 where the endpoint reports no count, or an impossible one."""
    usage = content.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return _token_count(counts.get("prompt_tokens")), _token_count(counts.get("completion_tokens"))


def _token_count(count: Any) -> int:
    if not isinstance(count, int | float) or isinstance(count, bool):
        return 0
    return int(count) if 0 < count <= MOST_TOKENS else 0


def _logprobs(logprobs: Any, taken_out: bytes | None) -> bytes | None:
    """Log probabilities of a choice: those that were taken out of the reply, or those in an unusual form."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if tokens == PLACEHOLDER:
        return taken_out
    try:
        return orjson.dumps(tokens) if tokens and isinstance(tokens, list) else None
    except TypeError:  # nested too deep
        return None


def _text_and_trace(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The answer and its reasoning. Reasoning is in a separate field, in the text before the answer, or in both if a
    reasoning model has a prompt that requests reasoning."""
    content, trace = message.get("content"), message.get("reasoning_content") or message.get("reasoning")
    text = "" if content is None else content
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    answer, own_trace = _split_trace(text)
    if isinstance(trace, str) and trace:
        return answer, f"{trace}\n\n{own_trace}" if own_trace else trace
    return answer, own_trace


def _split_trace(text: str) -> tuple[str, str | None]:
    """A trace that was cut has no end tag, and no answer after it. One whose `<think>` is part of the chat template has
    no start tag."""
    head, end, answer = text.partition(END_THINK)
    begins = head.lstrip().startswith(THINK)
    if begins or (end and THINK not in head):
        return answer.lstrip(), head.lstrip().removeprefix(THINK).strip()
    return text, None


def _is_filtered(content: Any) -> bool:
    """True when the content filter refused the prompt, in either of its two shapes, which come with status 400 too."""
    if not isinstance(content, dict):
        return False
    error, choices = content.get("error"), content.get("choices")
    if isinstance(error, dict):
        inner = error.get("innererror")
        codes = (error.get("code"), inner.get("code") if isinstance(inner, dict) else None)
        return any(code in ("content_filter", "ResponsibleAIPolicyViolation") for code in codes)
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and (_name(first.get("finish_reason")) or "").startswith("content_filter")


def message(content: Any, body: bytes) -> str:
    """The endpoint's error message, or the body. It may be long and repeat the key: redact it before it is cut or
    shown."""
    if isinstance(content, dict):
        error = content.get("error")
        inner = error.get("message") if isinstance(error, dict) else error
        for text in (inner, content.get("message"), content.get("detail")):
            if text and isinstance(text, str):
                return text
    return body.decode("utf-8", "replace")
