"""What makes real endpoints hard, each to order: limits, hangs, broken bodies, reasoning models, logprobs, Entra ID."""

import asyncio
import base64
import json
import math
import time
from email.utils import parsedate_to_datetime

import aiohttp
import pytest

from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import SimulatedLimits, Simulation
from azdistill.simulate.draws import latency_s
from azdistill.simulate.limits import Bucket, Limiter
from azdistill.simulate.logprobs import TOKEN
from azdistill.simulate.wire import ChatRequest, count_tokens
from tests.simulate.asking import chat, chats

SCOPE = "https://cognitiveservices.azure.com/.default"
AUDIENCE = "https://cognitiveservices.azure.com"


async def at_once(session, count, **parameters):
    return await asyncio.gather(*(chat(session, f"hello {number}", **parameters) for number in range(count)))


def statuses(found):
    return [status for status, _, _ in found]


# Limits


def test_a_bucket_lets_a_burst_in_then_its_rate():
    bucket, now, let_in = Bucket(600, burst_s=1, now=0.0), 0.0, 0
    while now < 11:
        if not bucket.wait_s(now):
            bucket.take(1)
            let_in += 1
        now += 0.01
    assert 118 <= let_in <= 120


def test_a_request_larger_than_the_bucket_is_let_in_and_leaves_less_than_nothing():
    bucket = Bucket(600, burst_s=1, now=0.0)
    bucket.take(50)
    assert bucket.left(0.0) == -40
    assert bucket.wait_s(0.0) == pytest.approx(4.1)


def test_requests_over_the_limit_are_refused_in_both_shapes_with_their_time(simulated):
    limits = SimulatedLimits(requests_per_minute=600)
    found = simulated(lambda session: at_once(session, 40), limits=limits)
    refused = [(headers, reply) for status, headers, reply in found if status == 429]
    assert 28 <= len(refused) <= 30
    assert {headers["Retry-After"] for headers, _ in refused} == {"1"}
    assert {"error" in reply for _, reply in refused} == {True, False}


def test_what_was_refused_is_let_in_after_its_time(simulated):
    async def asking(session):
        first = await at_once(session, 2)
        await asyncio.sleep(1)
        return statuses(first), statuses(await at_once(session, 1))

    first, second = simulated(asking, limits=SimulatedLimits(requests_per_minute=60))
    assert (sorted(first), second) == ([200, 429], [200])


@pytest.mark.parametrize(("counted", "let_in"), [("answered", 4), ("asked", 1)])
def test_tokens_are_counted_as_asked_for_or_as_answered(simulated, counted, let_in):
    # 10 tokens of prompt and answer, or 1,006 of prompt and max_tokens, from a bucket of 40
    limits = SimulatedLimits(tokens_per_minute=40, burst_s=60, tokens_counted=counted)
    found = simulated(lambda session: chats(session, 6, max_tokens=1000), limits=limits)
    assert statuses(found).count(200) == let_in
    assert statuses(found)[:let_in] == [200] * let_in


@pytest.mark.parametrize(("headers", "remaining"), [("sent", "9"), ("negative", "-1"), ("absent", None)])
def test_headers_tell_the_limit_or_less_than_nothing_or_are_not_there(simulated, headers, remaining):
    limits = SimulatedLimits(requests_per_minute=600, tokens_per_minute=100, headers=headers)
    _, found, _ = simulated(chat, limits=limits)
    assert found.get("x-ratelimit-remaining-requests") == remaining
    assert found.get("x-ratelimit-limit-requests") == (None if headers == "absent" else "600")
    assert found.get("x-ratelimit-limit-tokens") == (None if headers == "absent" else "100")


def test_remaining_tokens_fall_below_zero_by_themselves(simulated):
    _, found, _ = simulated(chat, limits=SimulatedLimits(tokens_per_minute=60))
    assert int(found["x-ratelimit-remaining-tokens"]) < 0


def test_a_limiter_without_limits_lets_all_in():
    limiter = Limiter(SimulatedLimits())
    for _ in range(1000):
        limiter.admitted(ChatRequest(messages=(Message(role="user", content="hello"),)))
    assert limiter.wait_s() == 0
    assert limiter.headers() == {}


# Faults


def test_a_model_that_is_not_ready_says_so_in_headers(simulated):
    status, headers, _ = simulated(chat, not_ready_rate=1.0)
    assert status == 424
    assert headers["ms-azureml-model-error-statuscode"] == "503"
    assert headers["ms-azureml-model-error-reason"] == "model_not_ready"


def test_a_gateway_that_gave_up_answers_html(simulated):
    status, headers, reply = simulated(chat, gateway_timeout_rate=1.0)
    assert (status, headers["Content-Type"].split(";")[0]) == (504, "text/html")
    assert "504" in reply


def test_a_model_that_it_does_not_serve_is_no_deployment(simulated):
    status, _, reply = simulated(chat, deployments=("gpt", "phi"))
    assert (status, reply["error"]["code"]) == (404, "DeploymentNotFound")
    assert "'m'" in reply["error"]["message"]
    assert simulated(chat, deployments=("phi", "m"))[0] == 200


def test_a_portal_answers_everything_with_html(simulated):
    status, headers, reply = simulated(chat, html=True, key="right")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert reply.startswith("<html>")


@pytest.mark.parametrize("skew", [0, -7200, 7200])
def test_its_clock_may_be_off(simulated, skew):
    bearer = {"Authorization": f"Bearer {token()}"}  # good for an hour
    options = {"clock_skew_s": skew, "entra_scope": SCOPE}
    status, headers, _ = simulated(lambda session: chat(session, headers=bearer), **options)
    assert status == (401 if skew > 0 else 200)
    assert parsedate_to_datetime(headers["Date"]).timestamp() == pytest.approx(time.time() + skew, abs=5)


def test_a_hang_never_answers_and_the_same_row_is_answered_the_next_time(simulated):
    async def asking(session):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat(session), 0.3)
        return await chat(session)

    assert simulated(asking, hang_rate=1.0)[0] == 200


def test_a_slow_first_byte_comes_once(simulated):
    async def asking(session):
        times = [time.monotonic()]
        for _ in range(2):
            await chat(session)
            times.append(time.monotonic())
        return times[1] - times[0], times[2] - times[1]

    first, second = simulated(asking, slow_rate=1.0, slow_ms=300)
    assert first >= 0.3 > second


async def raw(session, text):
    """Status and body, or the name of the error that reading it ended in."""
    message = {"messages": [{"role": "user", "content": text}]}
    async with session.post("/v1/chat/completions", json=message) as response:
        try:
            return response.status, await response.read()
        except aiohttp.ClientPayloadError as problem:
            return response.status, type(problem).__name__


def test_half_a_body_comes_as_if_whole_or_with_the_end_of_the_connection_and_was_paid(simulated):
    async def asking(session):
        first = [await raw(session, f"hello {number}") for number in range(12)]
        again = [await raw(session, f"hello {number}") for number in range(12)]
        return first, again, await (await session.get("/")).text()

    first, again, page = simulated(asking, broken_rate=1.0)
    cut = [body for _, body in first if isinstance(body, bytes)]
    assert {status for status, _ in first} == {200}
    assert {body for _, body in first if isinstance(body, str)} == {"ClientPayloadError"}
    assert 0 < len(cut) < 12
    assert all(body.startswith(b'{"id"') and not body.endswith(b"}") for body in cut)
    assert all(json.loads(body)["choices"] for _, body in again)
    assert "answered 12, broken 12" in page


def test_lognormal_latency_has_its_mean_and_its_spread():
    simulation = Simulation(latency_ms=200, latency_sigma=0.35)
    logs = [math.log(latency_s(simulation, str(number))) for number in range(4000)]
    mean = sum(math.exp(log) for log in logs) / len(logs)
    middle = sum(logs) / len(logs)
    spread = math.sqrt(sum((log - middle) ** 2 for log in logs) / len(logs))
    assert mean == pytest.approx(0.2, rel=0.03)
    assert spread == pytest.approx(0.35, rel=0.05)


# Parameters and reasoning


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "logprobs"])
def test_a_parameter_that_is_refused_is_named(simulated, name):
    value = {"max_tokens": 5, "temperature": 0.5, "logprobs": True}[name]
    status, _, reply = simulated(lambda session: chat(session, **{name: value}), refused_parameters=(name,))
    assert (status, reply["error"]["param"], reply["error"]["code"]) == (400, name, "unsupported_parameter")
    assert f"'{name}'" in reply["error"]["message"]


def test_without_a_refused_parameter_it_answers(simulated):
    refused = {"refused_parameters": ("max_tokens", "temperature")}
    status, _, reply = simulated(lambda session: chat(session, max_completion_tokens=2), **refused)
    assert (status, reply["choices"][0]["message"]["content"]) == (200, "You said")


def test_an_ignored_parameter_has_no_effect(simulated):
    ignored = {"ignored_parameters": ("max_tokens", "logprobs", "n")}
    asked = {"max_tokens": 1, "logprobs": True, "top_logprobs": 2, "n": 3}
    _, _, reply = simulated(lambda session: chat(session, **asked), **ignored)
    assert len(reply["choices"]) == 1
    assert reply["choices"][0]["message"]["content"] == "You said: hello"
    assert "logprobs" not in reply["choices"][0]


def test_thoughts_come_in_a_field_of_their_own_and_are_counted(simulated):
    _, _, reply = simulated(chat, reasoning="reasoning_content")
    message, usage = reply["choices"][0]["message"], reply["usage"]
    assert message["content"] == "You said: hello"
    assert message["reasoning_content"].startswith("The last turn says: hello")
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert thought == count_tokens(message["reasoning_content"])
    assert usage["completion_tokens"] == thought + 4


def test_thoughts_come_before_the_answer_in_think(simulated):
    _, _, reply = simulated(chat, reasoning="think")
    content = reply["choices"][0]["message"]["content"]
    assert content.startswith("<think>\nThe last turn says: hello")
    assert content.endswith("\n</think>\n\nYou said: hello")


@pytest.mark.parametrize(
    ("reasoning", "starts"),
    [(None, "<think>\nThe last turn says: hello"), ("reasoning_content", "You said: hello")],
)
def test_told_to_think_it_thinks_before_it_answers_or_where_it_always_does(simulated, reasoning, starts):
    told = [{"role": "system", "content": "Reason in <think>."}, {"role": "user", "content": "hello"}]
    _, _, reply = simulated(lambda session: chat(session, messages=told, logprobs=True), reasoning=reasoning)
    message, tokens = reply["choices"][0]["message"], reply["choices"][0]["logprobs"]["content"]
    assert message["content"].startswith(starts)
    assert message["content"].endswith("You said: hello")
    assert "".join(token["token"] for token in tokens) == message["content"]
    said = (message["content"], message.get("reasoning_content", ""))
    assert reply["usage"]["completion_tokens"] == sum(map(count_tokens, said))


def test_thoughts_use_the_token_limit_up(simulated):
    _, _, reply = simulated(lambda session: chat(session, max_completion_tokens=5), reasoning="reasoning_content")
    assert reply["choices"][0]["message"]["content"] == ""
    assert reply["choices"][0]["finish_reason"] == "length"


def test_several_answers_to_one_request_differ_above_temperature_0_and_are_billed_together(simulated):
    def asked(temperature):
        return simulated(lambda session: chat(session, n=12, temperature=temperature), wrong_rate=0.4)[2]

    warm, cold = asked(1.0), asked(0.0)
    answers = [choice["message"]["content"] for choice in warm["choices"]]
    assert [choice["index"] for choice in warm["choices"]] == list(range(12))
    assert set(answers) == {"You said: hello", "I do not know."}
    assert warm["usage"]["completion_tokens"] == sum(map(count_tokens, answers))
    assert len({choice["message"]["content"] for choice in cold["choices"]}) == 1
    assert warm == asked(1.0)


# Log probabilities


def test_logprobs_are_of_the_tokens_of_the_answer(simulated):
    _, _, reply = simulated(lambda session: chat(session, "so, it is!", logprobs=True, top_logprobs=3))
    choice = reply["choices"][0]
    tokens = choice["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
    assert len(tokens) == reply["usage"]["completion_tokens"]
    for token in tokens:
        assert bytes(token["bytes"]).decode() == token["token"]
        assert len({top["token"] for top in token["top_logprobs"]}) == 3
        assert token["top_logprobs"][0] == {name: token[name] for name in ("token", "logprob", "bytes")}
        values = [top["logprob"] for top in token["top_logprobs"]]
        assert values == sorted(values, reverse=True)
        assert sum(map(math.exp, values)) < 1


def test_logprobs_repeat_and_have_no_alternatives_unless_asked_for(simulated):
    found = [simulated(lambda session: chat(session, logprobs=True))[2] for _ in range(2)]
    assert found[0] == found[1]
    assert all(token["top_logprobs"] == [] for token in found[0]["choices"][0]["logprobs"]["content"])


def test_degenerate_logprobs_are_zero_and_minus_9999(simulated):
    _, _, reply = simulated(lambda session: chat(session, logprobs=True, top_logprobs=2), degenerate_rate=1.0)
    tokens = reply["choices"][0]["logprobs"]["content"]
    assert {token["logprob"] for token in tokens} == {0.0}
    assert {tuple(top["logprob"] for top in token["top_logprobs"]) for token in tokens} == {(0.0, -9999.0)}


def test_alternatives_without_logprobs_are_refused(simulated):
    status, _, reply = simulated(lambda session: chat(session, top_logprobs=2))
    assert status == 400
    assert "top_logprobs" in reply["error"]["message"]


@pytest.mark.parametrize("text", ["a , b ", " x", "", "  ", "naïve: 3.5 %\n"])
def test_tokens_with_logprobs_are_those_that_are_counted(text):
    assert len(TOKEN.findall(text)) == count_tokens(text)
    assert "".join(TOKEN.findall(text)) in (text, "")


# Entra ID


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'aud': AUDIENCE, 'exp': time.time() + 3600, **claims})}.signature"


def enter(simulated, bearer, **options):
    headers = {"Authorization": f"Bearer {bearer}"}
    return simulated(lambda session: chat(session, headers=headers), entra_scope=SCOPE, **options)


@pytest.mark.parametrize("claims", [{}, {"aud": AUDIENCE + "/"}])
def test_a_token_for_the_audience_opens(simulated, claims):
    assert enter(simulated, token(**claims))[0] == 200


@pytest.mark.parametrize(
    "bearer",
    [
        token(aud="https://ml.azure.com"),
        token(aud=AUDIENCE, exp=time.time() - 1),
        token(exp=None),
        "",
        "a key",
        "a.b.c",
        "a.WzFd.c",
    ],
    ids=["wrong audience", "expired", "no expiry", "none", "a key", "not base64", "not claims"],
)
def test_any_other_token_is_refused_with_the_endpoints_own_words(simulated, bearer):
    status, _, reply = enter(simulated, bearer)
    assert status == 401
    assert f"audience is incorrect ({AUDIENCE})" in reply["error"]["message"]


def test_a_token_opens_until_it_expires(simulated):
    async def asking(session):
        headers = {"Authorization": f"Bearer {token(exp=time.time() + 0.5)}"}
        before = await chat(session, headers=headers)
        await asyncio.sleep(0.6)
        return before[0], (await chat(session, headers=headers))[0]

    assert simulated(asking, entra_scope=SCOPE) == (200, 401)


def test_where_a_token_is_asked_for_the_key_opens_too(simulated):
    assert enter(simulated, "right", key="right")[0] == 200
