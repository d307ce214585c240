"""What an endpoint's reply means: an answer, a refusal of the row, a reason to ask again, or the end of the job.

Decided by status code, never by the text of a message. Source: the error shapes of Azure's serverless
and Foundry endpoints.
"""

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

RETRIED = frozenset({408, 424, 429})
FATAL = {
    401: "the key was refused; check key_variable and that the key belongs to this endpoint",
    403: "access is denied; check the key's rights and the endpoint's network rules",
    404: "no such model or path; check model and endpoint",
}
THINK, THOUGHT = "<think>", "</think>"
LONGEST_RETRY_AFTER_S = 900.0  # a clock that is wrong must not park a row for a day
LOGPROBS = re.compile(rb'"logprobs"\s*:\s*\{\s*"content"\s*:\s*(?=\[)')
LAST_TOKEN = b"}]}]"  # the last of its most likely ones, their list, the token, the list of tokens
TOP_LOGPROBS, ANOTHER = b'"top_logprobs":', b'"logprobs"'
TAKEN_OUT = "taken out"
CUT = "cut_reply"
"""Reason to ask again after a reply that was lost on the way, and may have been billed."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the teacher said, and what it was counted as in tokens. `trace` is what a reasoning model thought
    before it; its tokens are among those of the completion. `logprobs` is the JSON list of all these tokens with
    their log probabilities, as it came: nobody has looked into it."""

    completion: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    trace: str | None = None
    logprobs: bytes | None = None


@dataclass(frozen=True, slots=True)
class RowRejected:
    """This row will never be answered."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Ask again, after `after_s` seconds where the endpoint named a time. `throttled`: the row is not at fault."""

    reason: str
    detail: str
    after_s: float | None = None
    throttled: bool = False


@dataclass(frozen=True, slots=True)
class EndpointFailed:
    """No row will be answered: nothing more is asked."""

    detail: str


Reply = Answer | RowRejected | Retry | EndpointFailed


def read_reply(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Judge one HTTP reply. `headers` are looked up without regard to case, as aiohttp's are."""
    content, logprobs = _opened(body)
    if status == HTTPStatus.OK:
        return _cut(body) if content is None and _is_half(body) else _answer(content, logprobs)
    detail = f"HTTP {status}: {message(content, body)}"
    if status in RETRIED or status >= 500:
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        return Retry(f"http_{status}", detail, retry_after(headers.get("Retry-After")), throttled)
    if status in FATAL:
        return EndpointFailed(f"{FATAL[status]} ({detail})")
    if 300 <= status < 400:
        return EndpointFailed(f"it redirects to {headers.get('Location', '?')!r}; give that address as endpoint")
    return RowRejected("content_filter" if _is_filtered(content) else f"http_{status}", detail)


def retry_after(text: str | None, now: float | None = None) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or an HTTP date; None when it holds neither."""
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        date = email.utils.parsedate_tz(text)
        if date is None:
            return None
        seconds = email.utils.mktime_tz(date) - (time.time() if now is None else now)
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds == seconds else None


def _opened(body: bytes) -> tuple[Any, bytes | None]:
    """The reply without its log probabilities, and these unparsed: of 1,500 tokens with five each they are 600 KB,
    which would hold up the event loop for 5 ms. A reply of another form is parsed as a whole."""
    if taken := _tokens(body):
        content = _json(b'%b"%b"%b' % (body[: taken.start], TAKEN_OUT.encode(), body[taken.stop :]))
        if content is not None:
            return content, body[taken]
    return _json(body), None


def _tokens(body: bytes) -> slice | None:
    """Where the first list of tokens with log probabilities lies.

    Within a JSON text quotes are escaped, so what looks like a key is one. What looks like the end may stand within
    a token or behind the list: it is the end when the last token with likely ones ends there, and no other list has
    begun.
    """
    begin = LOGPROBS.search(body)
    if not begin:
        return None
    found = slice(begin.end(), body.find(LAST_TOKEN, begin.end()) + len(LAST_TOKEN))
    last = body.rfind(TOP_LOGPROBS, found.start, found.stop)
    whole = last > 0 and _json(b"{%b" % body[last : found.stop - 1]) is not None
    return found if whole and body.find(ANOTHER, found.start, found.stop) < 0 else None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _is_half(body: bytes) -> bool:
    """The end of data where more was to come, or a character that is cut."""
    try:
        orjson.loads(body.decode("utf-8", "ignore"))
    except orjson.JSONDecodeError as problem:
        return problem.msg.startswith("unexpected end of data")
    return False


def _cut(body: bytes) -> Retry:
    return Retry(CUT, f"HTTP 200 with half a reply: {len(body)} bytes that begin as JSON and don't end so")


def _answer(content: Any, logprobs: bytes | None) -> Reply:
    try:
        choice, usage = content["choices"][0], content.get("usage") or {}
        text, trace = _said(choice["message"])
        tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        reason = str(choice.get("finish_reason") or "missing")
        return Answer(text, reason, *tokens, trace, _logprobs(choice.get("logprobs"), logprobs))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as problem:
        return RowRejected("not_a_completion", f"HTTP 200 without a chat completion in it ({problem!r})")


def _logprobs(found: Any, taken: bytes | None) -> bytes | None:
    """Those of a choice: what was taken out of it, or what an unusual form left in it."""
    tokens = found.get("content") if isinstance(found, dict) else None
    if tokens == TAKEN_OUT:
        return taken
    return orjson.dumps(tokens) if tokens and isinstance(tokens, list) else None


def _said(message: Mapping[str, Any]) -> tuple[str, str | None]:
    """The answer and what was thought before it, which comes in a field of its own, in front of the answer, or both
    where a reasoning model was asked to reason."""
    text, trace = message.get("content") or "", message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(text, str):
        raise TypeError(f"content is {type(text).__name__}")
    said, thought = _split_trace(text)
    if isinstance(trace, str) and trace:
        return said, f"{trace}\n\n{thought}" if thought else trace
    return said, thought


def _split_trace(text: str) -> tuple[str, str | None]:
    """A trace that was cut has no end, and no answer after it. One whose `<think>` stands in the chat template
    has no beginning."""
    head, end, answer = text.partition(THOUGHT)
    begins = head.lstrip().startswith(THINK)
    if begins or (end and THINK not in head):
        return answer.lstrip(), head.lstrip().removeprefix(THINK).strip()
    return text, None


def _is_filtered(content: Any) -> bool:
    """Both shapes of a prompt refused by the content filter, of which some come with status 400."""
    if not isinstance(content, dict):
        return False
    error, choices = content.get("error"), content.get("choices")
    if isinstance(error, dict):
        inner = error.get("innererror")
        codes = {error.get("code"), inner.get("code") if isinstance(inner, dict) else None}
        return bool(codes & {"content_filter", "ResponsibleAIPolicyViolation"})
    first = choices[0] if isinstance(choices, list) and choices else None
    return isinstance(first, dict) and str(first.get("finish_reason")).startswith("content_filter")


def message(content: Any, body: bytes) -> str:
    """The endpoint's error message. It may be long and repeat the key: redact it before it is cut or shown."""
    text: Any = body.decode("utf-8", "replace")
    if isinstance(content, dict):
        error = content.get("error")
        inner = error.get("message") if isinstance(error, dict) else error
        text = inner or content.get("message") or content.get("detail") or text
    return str(text)
