"""Log probabilities: parsing, checking, and the way from an endpoint's JSON into the files for training."""

import contextlib
import http.client
import itertools
import json
import random
import re
from urllib.parse import urlsplit

import numpy as np
import pytest

from azdistill.teacher.logprobs import check_support, parse_logprobs, write_logprobs
from azdistill.teacher.logprobs_writer import TokenLogprobs
from azdistill.teacher.replies import Answer, read_reply
from azdistill.teacher.store import StoredAnswer
from azdistill.training.teacher_logprobs import TeacherLogprobs
from tests.teacher.stores import filled, find


def key(number):
    return f"{number:064x}"


def chat(url, text, **more):
    """Send a chat request; returns status, headers and body."""
    request = {
        "model": "m",
        "messages": [{"role": "user", "content": text}],
        "logprobs": True,
        "top_logprobs": 5,
        **more,
    }
    with contextlib.closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(request), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def entry(token, logprob, *tops, **more):
    """A token in the form of OpenAI; `tops` are pairs of token and log probability."""
    likely = [{"token": name, "logprob": value, "bytes": list(name.encode())} for name, value in tops]
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": likely, **more}


def raw(*entries):
    return json.dumps(entries).encode()


@pytest.mark.parametrize("reasoning", [None, "think", "reasoning_content"])
def test_log_probabilities_from_the_endpoint_through_the_store_to_training(simulate, tmp_path, reasoning):
    _, url = simulate(reasoning=reasoning)
    replies = {key(number): read_reply(*chat(url, f"größe, {number}")) for number in range(8)}
    filled(tmp_path / "store", "run", *(StoredAnswer(name, url, "m", answer) for name, answer in replies.items()))
    stored = find(tmp_path / "store", replies)
    counts = write_logprobs(tmp_path, ((name, stored.stored(name).outcome) for name in replies), 5)
    read = TeacherLogprobs(tmp_path)
    for name, answer in replies.items():
        spelled = b"".join(read[name].table[token] for token in read[name].ids)
        assert spelled == (b"\n\n" if reasoning == "think" else b"") + answer.completion.encode()
        sent = json.loads(answer.logprobs)[-len(read[name].ids) :]
        assert np.allclose(read[name].logprobs, [token["logprob"] for token in sent], rtol=2**-11, atol=2**-25)
        tops = [[top["logprob"] for top in token["top_logprobs"]] for token in sent]
        assert np.allclose(read[name].top_logprobs, tops, rtol=2**-11, atol=2**-25)
    assert (counts["rows"], counts["without"]) == (8, {})


def test_unusable_log_probabilities_are_counted_once(tmp_path):
    good = Answer("yes", "stop", 1, 1, None, raw(entry("yes", -0.5, ("yes", -0.5))))
    answers = [
        (key(0), good),
        (key(0), good),
        (key(1), Answer("yes", "stop", 1, 1)),
        (key(2), Answer("no", "stop", 1, 1)),
    ]
    counts = write_logprobs(tmp_path, [*answers, (key(3), Answer("no", "stop", 1, 1, None, good.logprobs))], 5)
    assert (counts["rows"], counts["tokens"]) == (1, 1)
    assert counts["without"] == {"absent": 2, "misaligned": 1}


SUPPORT = [
    ({}, True, ""),
    ({"reasoning": "think"}, True, ""),
    (
        {"refused_parameters": ("logprobs",)},
        False,
        "it rejects .*HTTP 400: .*'logprobs' is not supported",
    ),
    (
        {"refused_parameters": ("top_logprobs",)},
        False,
        "it rejects .*HTTP 400: .*'top_logprobs' is not supported",
    ),
    ({"ignored_parameters": ("logprobs", "top_logprobs")}, False, "accepts the parameter and returns none"),
    ({"ignored_parameters": ("top_logprobs",)}, False, "accepts the parameter and returns none"),
    ({"degenerate_rate": 1.0}, False, "no probabilities of a model"),
    ({"filtered_rate": 1.0}, None, "HTTP 400"),
    ({"error_rate": 1.0}, None, "HTTP 50"),
]


@pytest.mark.parametrize(("simulation", "supported", "reason"), SUPPORT)
def test_one_request_shows_whether_an_endpoint_has_log_probabilities(simulate, simulation, supported, reason):
    _, url = simulate(**simulation)
    support = check_support(*chat(url, "Say yes.", max_tokens=16))
    assert support.supported is supported
    assert re.search(reason, support.reason)


CHOSEN, OTHER = ("Yes", -0.1), ("No", -2.5)
OPENAI = [
    entry("Yes", -0.1, CHOSEN, OTHER),
    entry(".", -9999.0, ("!", -0.2), ("?", -1.9)),
    entry(" ok", 0.0, (" ok", 0.0), (" no", -17.25), (" ", -9999.0)),
]


def test_an_unlikely_token_has_an_unknown_log_probability_and_the_answer_is_used():
    assert parse_logprobs(raw(*OPENAI), "Yes. ok") == TokenLogprobs(
        [b"Yes", b".", b" ok"],
        [-0.1, -float("inf"), 0.0],
        [[(b"Yes", -0.1), (b"No", -2.5)], [(b"!", -0.2), (b"?", -1.9)], [(b" ok", 0.0), (b" no", -17.25)]],
    )


GREEDY = ("x", 0.0), ("y", -9999.0)
UNUSABLE = [
    (None, "x", "absent"),
    (raw(entry("x", -0.1, ("x", -0.1))), "", "absent"),
    (raw(entry("x", -0.1)), "x", "absent"),
    (raw(entry("x", 0.0, *GREEDY)), "x", "degenerate"),
    (raw(*[entry("x", 0.0, *GREEDY)] * 2, entry("x", -0.1, ("x", -0.1), ("y", -3))), "xxx", "degenerate"),
    (raw(entry("x", 0.0, ("x", 0.0), ("y", 0.0))), "x", "degenerate"),
    (raw(entry("x", 3.5, ("x", 3.5), ("y", -1.0))), "x", "degenerate"),
    (raw(entry("x", -0.1, ("x", -0.1), ("y", 1e9))), "x", "degenerate"),
    (raw(entry("x", -0.1, ("x", -0.1), ("y", -0.9))), "x", "degenerate"),
    (raw(entry("x", -0.1, ("x", -0.1))).replace(b"-0.1", b"1e999"), "x", "malformed"),
    (raw(entry("xy", -0.1, ("xy", -0.1))), "y", "misaligned"),
    (raw(entry("x", -0.1, ("x", -0.1)), *[entry("x", -0.1)] * 3), "x" * 5, "misaligned"),
    (raw(entry("x", -0.1, ("x", -0.1)), *[entry("<|end|>", -0.1)] * 3), "x", "misaligned"),
    (raw(entry("\ufffd", -0.1, ("x", -0.1), bytes=None)), "ü", "misaligned"),
    (raw(entry("x", float("nan"), ("x", -0.1))), "x", "malformed"),
    (raw(entry("x", None, ("x", -0.1))), "x", "malformed"),
    (raw(entry("x", "-0.1", ("x", -0.1))), "x", "malformed"),
    (raw(entry("x", -0.1, bytes=[256])), "x", "malformed"),
    (raw(entry("x", -0.1, bytes=1)), "x", "malformed"),
    (raw(entry("x", -0.1, bytes=None) | {"token": None}), "x", "malformed"),
    (raw(entry("x", -0.1, top_logprobs={"x": -0.1})), "x", "malformed"),
    (raw({"token": "x"}, 1), "x", "malformed"),
    (b"[1", "x", "malformed"),
    (b"1", "x", "malformed"),
]


@pytest.mark.parametrize(("logprobs", "completion", "reason"), UNUSABLE)
def test_unusable_log_probabilities(logprobs, completion, reason):
    assert parse_logprobs(logprobs, completion) == reason


def test_half_of_the_tokens_may_be_certain():
    content = raw(entry("x", 0.0, *GREEDY), entry("x", -0.1, ("x", -0.1), ("y", -3)))
    assert parse_logprobs(content, "xx").top_logprobs == [[(b"x", 0.0)], [(b"x", -0.1), (b"y", -3)]]


AROUND = [
    ([], []),
    (["<think>", "x", "</think>", "\n\n"], []),
    ([], ["<|im_end|>"]),
    (["<think>", "</think>"], ["\n", "<|im_end|>"]),
    ([], [""]),
]


@pytest.mark.parametrize(("before", "after"), AROUND)
@pytest.mark.parametrize("seed", range(4))
def test_characters_can_span_tokens_and_tokens_can_surround_the_answer(seed, before, after):
    """Tokens of byte-level tokenizers can end inside a character; then their texts are useless."""
    rng = random.Random(seed)
    text = "".join(rng.choices("aü€🙂 \n", k=30))
    cuts = sorted({0, len(text.encode()), *(rng.randrange(len(text.encode())) for _ in range(25))})
    pieces = [text.encode()[begin:end] for begin, end in itertools.pairwise(cuts)]
    tokens = [entry(piece.decode(errors="replace"), -1.0, ("x", -1.0), bytes=list(piece)) for piece in pieces]
    around = [[entry(mark, -0.5, ("x", -0.5)) for mark in marks] for marks in (before, after)]
    parsed = parse_logprobs(raw(*around[0], *tokens, *around[1]), text)
    assert b"".join(parsed.tokens) == text.encode()
    assert set(parsed.logprobs[: len(pieces)]) == {-1.0}
