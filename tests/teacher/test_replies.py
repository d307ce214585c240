"""Interpretation of replies by status, headers and body."""

import email.utils
import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azdistill.teacher.replies import Answer, EndpointFailed, Retry, RowRejected, http_date, read_reply, retry_after
from azdistill.teacher.store.records import StoredAnswer, decode, encode
from tests.teacher.generated_replies import CODES, COUNTS


def complete(content, finish_reason="stop", usage=None):
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


@pytest.mark.parametrize(
    ("content", "finish_reason", "expected"),
    [
        ("yes", "stop", Answer("yes", "stop", 0, 0)),
        ("yes and", "length", Answer("yes and", "length", 0, 0)),
        ("", "content_filter", Answer("", "content_filter", 0, 0)),
        (None, "tool_calls", Answer("", "tool_calls", 0, 0)),
        ("yes", None, Answer("yes", "missing", 0, 0)),
    ],
)
def test_a_complete_reply_is_an_answer_with_the_endpoints_finish_reason(content, finish_reason, expected):
    assert read_reply(200, {}, complete(content, finish_reason)) == expected


@pytest.mark.parametrize("count", [*COUNTS, "10000001"])
def test_an_answer_with_an_invalid_token_count_is_kept(count):
    counts = f'{{"prompt_tokens": {count}, "completion_tokens": 2}}'
    reply = read_reply(200, {}, complete("yes").replace(b"null", counts.encode()))
    assert reply == Answer("yes", "stop", {"7": 7, "7.5": 7, "1e3": 1000}.get(count, 0), 2)


TOLERATED = [
    (rb'"\ud83d\ude42 \ud83d"', "\U0001f642 \ufffd\ufffd\ufffd"),
    (b'"a\x01\nb"', "a\x01\nb"),
    (b'"caf\xe9"', "caf\ufffd"),
    (b'"\xef\xbb\xbf"', "\ufeff"),
]


@pytest.mark.parametrize(("content", "text"), TOLERATED)
@pytest.mark.parametrize("around", [(b"", b""), (b"\xef\xbb\xbf ", b""), (b"", b"\n{more")])
def test_an_answer_that_is_no_strict_json_is_kept(content, text, around):
    body = around[0] + complete("yes", usage={"prompt_tokens": 7}).replace(b'"yes"', content) + around[1]
    assert read_reply(200, {}, body) == Answer(text, "stop", 7, 0)


@pytest.mark.parametrize("code", [code for code in CODES if code not in ('"length"', '"content_filter"', '"stop"')])
def test_a_finish_reason_or_model_that_is_no_short_text_is_none(code):
    body = complete("yes").replace(b'"stop"', code.encode()).replace(b'{"ch', f'{{"model": {code}, "ch'.encode())
    reply = read_reply(200, {}, body)
    odd = {'"\\udfff"': "\ufffd" * 3, '"\\u0000\\u001b[31m"': "\0\x1b[31m"}.get(code)
    assert (reply.finish_reason, reply.model) == (odd or "missing", odd)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("status", [400, 429, 500])
def test_any_code_and_message_of_an_error_is_read(status, code):
    body = f'{{"error": {{"code": {code}, "message": {code}, "innererror": {code}}}, "detail": {code}}}'
    reply = read_reply(status, {}, body.encode())
    assert reply.detail.startswith(f"HTTP {status}: ")
    assert reply.reason == (code.strip('"') if (status, code) == (400, '"content_filter"') else f"http_{status}")


VALUES = st.sampled_from([None, True, "", "stop", "\ud800", [], ["x"], {}, {"a": 1}]) | st.integers() | st.floats()
CHOICE = st.fixed_dictionaries(
    {"message": st.dictionaries(st.sampled_from(["content", "reasoning"]), VALUES)},
    optional={"finish_reason": VALUES, "logprobs": st.fixed_dictionaries({"content": VALUES})},
)
USAGE = VALUES | st.fixed_dictionaries({"prompt_tokens": VALUES, "completion_tokens": VALUES})
REPLY = st.fixed_dictionaries({"choices": st.tuples(CHOICE)}, optional={"usage": USAGE, "model": VALUES})


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([200, 204, 301, 400, 401, 429, 500, 999]),
    REPLY.map(json.dumps).map(str.encode) | st.binary(),
    st.text("0123456789 :,-+.eGMTJanFi\ufffd", max_size=30),
)
def test_any_reply_has_an_outcome_that_can_be_stored(status, body, header):
    reply = read_reply(status, {"Retry-After": header, "Date": header, "Location": header}, body)
    if isinstance(reply, Answer | RowRejected):
        record = StoredAnswer("k", "https://host", "m", reply)
        assert decode(encode(record)) == record
    assert getattr(reply, "after_s", None) is None or 0 <= reply.after_s <= 900


def test_usage_is_read():
    reply = read_reply(200, {}, complete("yes", usage={"prompt_tokens": 7, "completion_tokens": 2}))
    assert reply == Answer("yes", "stop", 7, 2)


@pytest.mark.parametrize(
    ("reported", "model"),
    [('"V3.2-0928"', "V3.2-0928"), ("null", None), ("7", None), ('""', None), (f'"{"v" * 201}"', None)],
)
def test_the_model_that_the_endpoint_reports_is_read(reported, model):
    body = complete("yes").replace(b"{", f'{{"model": {reported}, '.encode(), 1)
    assert read_reply(200, {}, body) == Answer("yes", "stop", 0, 0, model=model)


@pytest.mark.parametrize(
    "body", [b"<html>hello</html>", b"{}", b'{"choices": []}', b"[]", b'{"choices":[{"message":{"content":[1]}}]}']
)
def test_a_200_without_a_completion_rejects_the_row(body):
    reply = read_reply(200, {}, body)
    assert isinstance(reply, RowRejected)
    assert reply.reason == "not_a_completion"


@pytest.mark.parametrize("status", [408, 424, 429, 500, 502, 503, 504, 529])
def test_transient_errors_are_retried(status):
    reply = read_reply(status, {"Retry-After": "3"}, b"")
    assert isinstance(reply, Retry)
    assert (reply.reason, reply.after_s, reply.throttled) == (f"http_{status}", 3.0, status == 429)


@pytest.mark.parametrize("status", [401, 403, 404, 301, 308])
def test_errors_that_affect_all_rows_fail_the_endpoint(status):
    assert isinstance(read_reply(status, {"Location": "https://elsewhere"}, b"{}"), EndpointFailed)


REASONING = [
    ({"content": "yes", "reasoning_content": "hm"}, "yes", "hm"),
    ({"content": "yes", "reasoning": "hm"}, "yes", "hm"),
    ({"content": "yes", "reasoning_content": None}, "yes", None),
    ({"content": "<think>so</think>yes", "reasoning_content": "hm"}, "yes", "hm\n\nso"),
    ({"content": "<think>\nhm\n</think>\n\nyes"}, "yes", "hm"),
    ({"content": "\n<think></think>yes"}, "yes", ""),
    ({"content": "hm, begun in the template\n</think>\n\nyes"}, "yes", "hm, begun in the template"),
    ({"content": "<think>\nhm, cut by max_tok"}, "", "hm, cut by max_tok"),
    ({"content": None, "reasoning_content": "hm, cut"}, "", "hm, cut"),
    ({"content": "Write <think> and </think> around it"}, "Write <think> and </think> around it", None),
]


@pytest.mark.parametrize(("message", "answer", "trace"), REASONING)
def test_reasoning_is_separated_from_the_answer(message, answer, trace):
    reply = read_reply(200, {}, json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode())
    assert reply == Answer(answer, "stop", 0, 0, trace)


def token(text, **more):
    """A token of a reply in OpenAI's format."""
    likely = {"token": text, "logprob": -0.25, "bytes": list(text.encode())}
    return {**likely, "top_logprobs": [likely, {"token": "]", "logprob": -2, "bytes": None}], **more}


def with_logprobs(content, first=None, **more):
    """A reply of two choices with log probabilities. Only the first choice is read."""
    logprobs = {"content": content, "refusal": None} if first is None else first
    choice = {"message": {"content": "yes"}, "logprobs": logprobs, "finish_reason": "stop", **more}
    return {"choices": [choice, {**choice, "logprobs": {"content": [token("no")]}}], "usage": {"prompt_tokens": 7}}


COMPACT, AS_PYTHON, INDENTED = {"separators": (",", ":")}, {}, {"indent": 2}
UNPARSED = [
    ([token("yes")], {}, COMPACT),
    ([token("yes")] * 50, {}, AS_PYTHON),
    ([token("yes"), token("}]")], {}, COMPACT),
    ([token("yes")], {"index": 0, "content_filter_results": {"hate": [{"x": [{}]}]}}, COMPACT),
    ([token("yes")], {"message": {"content": "yes", "note": '"logprobs":{"content":[1]}'}}, COMPACT),
]
PARSED = [
    ([token("yes")], {}, INDENTED),
    ([token("yes"), token('"}]}]}'), token("}]}],")], {}, COMPACT),
    ([token("yes", top_logprobs=[])], {}, COMPACT),
    ([dict(reversed(token("yes").items()))], {}, COMPACT),
    ([dict(reversed(token("yes").items()))], {"content_filter_results": {"hate": [{"x": [{}]}]}}, COMPACT),
    ([{"something": "else"}, 1], {}, COMPACT),
]


FORMS = [(*form, True) for form in UNPARSED] + [(*form, False) for form in PARSED]


@pytest.mark.parametrize(("content", "more", "style", "unparsed"), FORMS)
def test_log_probabilities_are_read_from_any_form_of_reply(content, more, style, unparsed):
    body = json.dumps(with_logprobs(content, **more), **style).encode().replace(b"-0.25", b"-0.2500")
    reply = read_reply(200, {}, body)
    assert (reply.completion, reply.finish_reason, reply.prompt_tokens) == ("yes", "stop", 7)
    assert json.loads(reply.logprobs) == content
    assert (b"-0.2500" in reply.logprobs) == unparsed


def test_tokens_that_look_like_the_end_of_a_reply_are_tokens():
    rng = random.Random(5)
    for _ in range(500):
        texts = ["".join(rng.choices('}]{[",:\\ 1', k=rng.randint(1, 12))) + "}]}]" for _ in range(4)]
        content = [token("".join(rng.choices(('"', "}]}]", ",", "}", "]", ":"), k=8))), *map(token, texts)]
        reply = read_reply(200, {}, json.dumps(with_logprobs(content), separators=(",", ":")).encode())
        assert (reply.completion, json.loads(reply.logprobs)) == ("yes", content)


@pytest.mark.parametrize("logprobs", [{"content": None}, {"content": []}, {}, [], "none", {"content": "none"}])
def test_log_probabilities_of_another_choice_are_not_used(logprobs):
    reply = read_reply(200, {}, json.dumps(with_logprobs(None, logprobs)).encode())
    assert reply == Answer("yes", "stop", 7, 0)


def test_an_answer_with_an_invalid_log_probability_is_kept():
    body = json.dumps(with_logprobs([token("yes", logprob=float("nan"))])).encode()
    assert b'"logprob": NaN' in read_reply(200, {}, body).logprobs


@pytest.mark.parametrize("fraction", [0, 0.3, 0.6, 0.9, 0.99])
def test_a_cut_reply_is_retried(fraction):
    for body in (json.dumps(with_logprobs([token("yes")] * 20)).encode(), complete("yes")):
        reply = read_reply(200, {}, body[: int(len(body) * fraction)])
        assert isinstance(reply, Retry)
        assert reply.reason == "cut_reply"


FILTERED = [
    {"error": {"code": "content_filter", "message": "filtered", "innererror": {"code": "x"}}},
    {"error": {"code": "BadRequest", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
    {"object": "chat.completion", "choices": [{"finish_reason": "content_filter", "message": {"content": ""}}]},
    {"choices": [{"finish_reason": "content_filter_error"}]},
]


@pytest.mark.parametrize("body", FILTERED)
def test_both_formats_of_the_content_filter_reject_the_row(body):
    reply = read_reply(400, {}, json.dumps(body).encode())
    assert isinstance(reply, RowRejected)
    assert reply.reason == "content_filter"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"error": {"message": "Unknown parameter:\\n max_tokens"}}', "HTTP 400: Unknown parameter:\n max_tokens"),
        (b'{"error": "no"}', "HTTP 400: no"),
        (b'{"error": null, "message": "no"}', "HTTP 400: no"),
        (b'{"statusCode": 400, "message": "no"}', "HTTP 400: no"),
        (b'{"detail": [{"loc": ["body"]}]}', 'HTTP 400: {"detail": [{"loc": ["body"]}]}'),
        (b"\xff\xfe no", "HTTP 400: \ufffd\ufffd no"),
        (b"x" * 1000, "HTTP 400: " + "x" * 1000),
    ],
)
def test_any_other_error_keeps_the_complete_message_of_the_endpoint(body, detail):
    assert read_reply(400, {}, body) == RowRejected("http_400", detail)


NOW, DATE = 1_700_000_000.0, email.utils.formatdate(1_700_000_000.0, usegmt=True)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("0", 0.0),
        ("1.5", 1.5),
        ("-4", 0.0),
        ("99999", 900.0),
        ("inf", 900.0),
        (email.utils.formatdate(NOW + 20, usegmt=True), 20.0),
        (email.utils.formatdate(NOW - 20, usegmt=True), 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    assert retry_after(text, DATE) == seconds


def test_a_retry_after_date_without_a_date_counts_from_this_machines_clock():
    for sent in (None, "Fri, 31 Dec 99999 23:59:59 GMT"):
        assert 18 <= retry_after(email.utils.formatdate(time.time() + 20, usegmt=True), sent) <= 20


@pytest.mark.parametrize("text", ["Fri, 31 Dec 99999 23:59:59 GMT", "soon", ""])
def test_an_impossible_date_is_no_date(text):
    assert http_date(text) is None
    assert retry_after(text) is None
