"""Difficult properties of real endpoints: limits, hangs, broken bodies, reasoning models, logprobs, Entra ID."""

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
from azdistill.simulate.limits import Bucket, Limiter
from azdistill.simulate.logprobs import TOKEN
from azdistill.simulate.rng import latency_s
from azdistill.simulate.wire import ChatRequest, count_tokens
from tests.simulate.chat import chat, chats

SCOPE = "https://cognitiveservices.azure.com/.default"
AUDIENCE = "https://cognitiveservices.azure.com"


async def chat_concurrently(session, count, **parameters):
    return await asyncio.gather(*(chat(session, f"hello {number}", **parameters) for number in range(count)))


def statuses(responses):
    return [status for status, _, _ in responses]


# Limits


def test_a_bucket_accepts_a_burst_and_then_its_rate():
    bucket, now, accepted = Bucket(600, burst_s=1, now=0.0), 0.0, 0
    while now < 11:
        if not bucket.wait_s(now):
            bucket.take(1)
            accepted += 1
        now += 0.01
    assert 118 <= accepted <= 120


def test_a_request_larger_than_the_bucket_is_accepted_and_makes_it_negative():
    bucket = Bucket(600, burst_s=1, now=0.0)
    bucket.take(50)
    assert bucket.remaining(0.0) == -40
    assert bucket.wait_s(0.0) == pytest.approx(4.1)


def test_requests_over_the_limit_are_rejected_in_both_forms_with_a_retry_after(simulated):
    limits = SimulatedLimits(requests_per_minute=600)
    responses = simulated(lambda session: chat_concurrently(session, 40), limits=limits)
    rejected = [(headers, reply) for status, headers, reply in responses if status == 429]
    assert 28 <= len(rejected) <= 30
    assert {headers["Retry-After"] for headers, _ in rejected} == {"1"}
    assert {"error" in reply for _, reply in rejected} == {True, False}


def test_a_rejected_request_is_accepted_after_its_retry_after(simulated):
    async def run(session):
        first = await chat_concurrently(session, 2)
        await asyncio.sleep(1)
        return statuses(first), statuses(await chat_concurrently(session, 1))

    first, second = simulated(run, limits=SimulatedLimits(requests_per_minute=60))
    assert (sorted(first), second) == ([200, 429], [200])


@pytest.mark.parametrize(("counted", "accepted"), [("answered", 4), ("asked", 1)])
def test_tokens_are_counted_by_the_request_or_by_the_answer(simulated, counted, accepted):
    # 10 tokens of prompt and answer, or 1,006 of prompt and max_tokens, from a bucket of 40
    limits = SimulatedLimits(tokens_per_minute=40, burst_s=60, tokens_counted=counted)
    responses = simulated(lambda session: chats(session, 6, max_tokens=1000), limits=limits)
    assert statuses(responses).count(200) == accepted
    assert statuses(responses)[:accepted] == [200] * accepted


@pytest.mark.parametrize(("headers", "remaining"), [("sent", "9"), ("negative", "-1"), ("absent", None)])
def test_headers_have_the_remaining_units_or_negative_ones_or_are_absent(simulated, headers, remaining):
    limits = SimulatedLimits(requests_per_minute=600, tokens_per_minute=100, headers=headers)
    _, responses, _ = simulated(chat, limits=limits)
    assert responses.get("x-ratelimit-remaining-requests") == remaining
    assert responses.get("x-ratelimit-limit-requests") == (None if headers == "absent" else "600")
    assert responses.get("x-ratelimit-limit-tokens") == (None if headers == "absent" else "100")


def test_remaining_tokens_can_be_negative(simulated):
    _, responses, _ = simulated(chat, limits=SimulatedLimits(tokens_per_minute=60))
    assert int(responses["x-ratelimit-remaining-tokens"]) < 0


def test_a_limiter_without_limits_accepts_every_request():
    limiter = Limiter(SimulatedLimits())
    for _ in range(1000):
        limiter.count_request(ChatRequest(messages=(Message(role="user", content="hello"),)))
    assert limiter.wait_s() == 0
    assert limiter.headers() == {}


# Faults


def test_a_model_that_is_not_ready_has_headers_with_the_reason(simulated):
    status, headers, _ = simulated(chat, not_ready_rate=1.0)
    assert status == 424
    assert headers["ms-azureml-model-error-statuscode"] == "503"
    assert headers["ms-azureml-model-error-reason"] == "model_not_ready"


def test_a_gateway_timeout_is_html(simulated):
    status, headers, reply = simulated(chat, gateway_timeout_rate=1.0)
    assert (status, headers["Content-Type"].split(";")[0]) == (504, "text/html")
    assert "504" in reply


def test_a_model_without_a_deployment_is_not_found(simulated):
    status, _, reply = simulated(chat, deployments=("gpt", "phi"))
    assert (status, reply["error"]["code"]) == (404, "DeploymentNotFound")
    assert "'m'" in reply["error"]["message"]
    assert simulated(chat, deployments=("phi", "m"))[0] == 200


def test_a_portal_replies_to_every_request_with_html(simulated):
    status, headers, reply = simulated(chat, html=True, key="right")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert reply.startswith("<html>")


@pytest.mark.parametrize("skew", [0, -7200, 7200])
def test_its_clock_may_be_wrong(simulated, skew):
    bearer = {"Authorization": f"Bearer {token()}"}  # valid for an hour
    options = {"clock_skew_s": skew, "entra_scope": SCOPE}
    status, headers, _ = simulated(lambda session: chat(session, headers=bearer), **options)
    assert status == (401 if skew > 0 else 200)
    assert parsedate_to_datetime(headers["Date"]).timestamp() == pytest.approx(time.time() + skew, abs=5)


def test_a_request_that_hangs_is_answered_when_it_is_sent_again(simulated):
    async def run(session):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chat(session), 0.3)
        return await chat(session)

    assert simulated(run, hang_rate=1.0)[0] == 200


def test_a_slow_first_byte_occurs_once(simulated):
    async def run(session):
        times = [time.monotonic()]
        for _ in range(2):
            await chat(session)
            times.append(time.monotonic())
        return times[1] - times[0], times[2] - times[1]

    first, second = simulated(run, slow_rate=1.0, slow_ms=300)
    assert first >= 0.3 > second


async def raw(session, text):
    """Status and body, or the name of the error that was raised when reading it."""
    message = {"messages": [{"role": "user", "content": text}]}
    async with session.post("/v1/chat/completions", json=message) as response:
        try:
            return response.status, await response.read()
        except aiohttp.ClientPayloadError as error:
            return response.status, type(error).__name__


def test_half_a_body_is_sent_with_its_own_length_or_a_closed_connection_and_is_billed(simulated):
    async def run(session):
        first = [await raw(session, f"hello {number}") for number in range(12)]
        again = [await raw(session, f"hello {number}") for number in range(12)]
        return first, again, await (await session.get("/")).text()

    first, again, page = simulated(run, broken_rate=1.0)
    cut = [body for _, body in first if isinstance(body, bytes)]
    assert {status for status, _ in first} == {200}
    assert {body for _, body in first if isinstance(body, str)} == {"ClientPayloadError"}
    assert 0 < len(cut) < 12
    assert all(body.startswith(b'{"id"') and not body.endswith(b"}") for body in cut)
    assert all(json.loads(body)["choices"] for _, body in again)
    assert "answered 12, broken 12" in page


def test_lognormal_latency_has_its_mean_and_sigma():
    simulation = Simulation(latency_ms=200, latency_sigma=0.35)
    logs = [math.log(latency_s(simulation, str(number))) for number in range(4000)]
    mean = sum(math.exp(log) for log in logs) / len(logs)
    middle = sum(logs) / len(logs)
    spread = math.sqrt(sum((log - middle) ** 2 for log in logs) / len(logs))
    assert mean == pytest.approx(0.2, rel=0.03)
    assert spread == pytest.approx(0.35, rel=0.05)


# Parameters and reasoning


@pytest.mark.parametrize("name", ["max_tokens", "temperature", "logprobs"])
def test_a_rejected_parameter_is_named(simulated, name):
    value = {"max_tokens": 5, "temperature": 0.5, "logprobs": True}[name]
    status, _, reply = simulated(lambda session: chat(session, **{name: value}), refused_parameters=(name,))
    assert (status, reply["error"]["param"], reply["error"]["code"]) == (400, name, "unsupported_parameter")
    assert f"'{name}'" in reply["error"]["message"]


def test_a_request_without_the_rejected_parameters_is_answered(simulated):
    refused = {"refused_parameters": ("max_tokens", "temperature")}
    status, _, reply = simulated(lambda session: chat(session, max_completion_tokens=2), **refused)
    assert (status, reply["choices"][0]["message"]["content"]) == (200, "You said")


def test_an_ignored_parameter_has_no_effect(simulated):
    ignored = {"ignored_parameters": ("max_tokens", "logprobs", "n")}
    parameters = {"max_tokens": 1, "logprobs": True, "top_logprobs": 2, "n": 3}
    _, _, reply = simulated(lambda session: chat(session, **parameters), **ignored)
    assert len(reply["choices"]) == 1
    assert reply["choices"][0]["message"]["content"] == "You said: hello"
    assert "logprobs" not in reply["choices"][0]


def test_reasoning_is_in_a_separate_field_and_counted(simulated):
    _, _, reply = simulated(chat, reasoning="reasoning_content")
    message, usage = reply["choices"][0]["message"], reply["usage"]
    assert message["content"] == "You said: hello"
    assert message["reasoning_content"].startswith("The last turn says: hello")
    reasoning_tokens = usage["completion_tokens_details"]["reasoning_tokens"]
    assert reasoning_tokens == count_tokens(message["reasoning_content"])
    assert usage["completion_tokens"] == reasoning_tokens + 4


def test_reasoning_is_in_think_before_the_answer(simulated):
    _, _, reply = simulated(chat, reasoning="think")
    content = reply["choices"][0]["message"]["content"]
    assert content.startswith("<think>\nThe last turn says: hello")
    assert content.endswith("\n</think>\n\nYou said: hello")


@pytest.mark.parametrize(
    ("reasoning", "starts"),
    [(None, "<think>\nThe last turn says: hello"), ("reasoning_content", "You said: hello")],
)
def test_a_system_message_can_ask_for_reasoning(simulated, reasoning, starts):
    messages = [{"role": "system", "content": "Reason in <think>."}, {"role": "user", "content": "hello"}]
    _, _, reply = simulated(lambda session: chat(session, messages=messages, logprobs=True), reasoning=reasoning)
    message, tokens = reply["choices"][0]["message"], reply["choices"][0]["logprobs"]["content"]
    assert message["content"].startswith(starts)
    assert message["content"].endswith("You said: hello")
    assert "".join(token["token"] for token in tokens) == message["content"]
    texts = (message["content"], message.get("reasoning_content", ""))
    assert reply["usage"]["completion_tokens"] == sum(map(count_tokens, texts))


def test_reasoning_counts_towards_the_token_limit(simulated):
    _, _, reply = simulated(lambda session: chat(session, max_completion_tokens=5), reasoning="reasoning_content")
    assert reply["choices"][0]["message"]["content"] == ""
    assert reply["choices"][0]["finish_reason"] == "length"


def test_several_choices_of_one_request_differ_above_temperature_0_and_are_billed_together(simulated):
    def choices(temperature):
        return simulated(lambda session: chat(session, n=12, temperature=temperature), wrong_rate=0.4)[2]

    warm, cold = choices(1.0), choices(0.0)
    answers = [choice["message"]["content"] for choice in warm["choices"]]
    assert [choice["index"] for choice in warm["choices"]] == list(range(12))
    assert set(answers) == {"You said: hello", "I do not know."}
    assert warm["usage"]["completion_tokens"] == sum(map(count_tokens, answers))
    assert len({choice["message"]["content"] for choice in cold["choices"]}) == 1
    assert warm == choices(1.0)


# Log probabilities


def test_logprobs_belong_to_the_tokens_of_the_answer(simulated):
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


def test_logprobs_are_reproducible_and_have_no_alternatives_by_default(simulated):
    responses = [simulated(lambda session: chat(session, logprobs=True))[2] for _ in range(2)]
    assert responses[0] == responses[1]
    assert all(token["top_logprobs"] == [] for token in responses[0]["choices"][0]["logprobs"]["content"])


def test_degenerate_logprobs_are_zero_and_minus_9999(simulated):
    _, _, reply = simulated(lambda session: chat(session, logprobs=True, top_logprobs=2), degenerate_rate=1.0)
    tokens = reply["choices"][0]["logprobs"]["content"]
    assert {token["logprob"] for token in tokens} == {0.0}
    assert {tuple(top["logprob"] for top in token["top_logprobs"]) for token in tokens} == {(0.0, -9999.0)}


def test_top_logprobs_without_logprobs_are_rejected(simulated):
    status, _, reply = simulated(lambda session: chat(session, top_logprobs=2))
    assert status == 400
    assert "top_logprobs" in reply["error"]["message"]


@pytest.mark.parametrize("text", ["a , b ", " x", "", "  ", "naïve: 3.5 %\n"])
def test_tokens_with_logprobs_are_the_counted_tokens(text):
    assert len(TOKEN.findall(text)) == count_tokens(text)
    assert "".join(TOKEN.findall(text)) in (text, "")


# Entra ID


def token(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part({'aud': AUDIENCE, 'exp': time.time() + 3600, **claims})}.signature"


def chat_with_token(simulated, bearer, **options):
    headers = {"Authorization": f"Bearer {bearer}"}
    return simulated(lambda session: chat(session, headers=headers), entra_scope=SCOPE, **options)


@pytest.mark.parametrize("claims", [{}, {"aud": AUDIENCE + "/"}])
def test_a_token_for_the_audience_is_accepted(simulated, claims):
    assert chat_with_token(simulated, token(**claims))[0] == 200


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
def test_any_other_token_is_rejected_with_the_message_of_real_endpoints(simulated, bearer):
    status, _, reply = chat_with_token(simulated, bearer)
    assert status == 401
    assert f"audience is incorrect ({AUDIENCE})" in reply["error"]["message"]


def test_a_token_is_accepted_until_it_expires(simulated):
    async def run(session):
        headers = {"Authorization": f"Bearer {token(exp=time.time() + 0.5)}"}
        before = await chat(session, headers=headers)
        await asyncio.sleep(0.6)
        return before[0], (await chat(session, headers=headers))[0]

    assert simulated(run, entra_scope=SCOPE) == (200, 401)


def test_a_key_is_accepted_where_a_token_is_required(simulated):
    assert chat_with_token(simulated, "right", key="right")[0] == 200
