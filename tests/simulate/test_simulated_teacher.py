"""Wire format and faults of the simulated teacher."""

import asyncio
from collections import Counter

import pytest

from azdistill.contracts.requests import PROBE_QUESTION
from azdistill.simulate.rng import draw
from azdistill.simulate.wire import first_tokens
from tests.simulate.chat import chat, chats

PATHS = ["/chat/completions", "/v1/chat/completions", "/models/chat/completions", "/openai/v1/chat/completions"]


@pytest.mark.parametrize("path", PATHS)
def test_it_answers_on_every_path_and_says_that_it_is_simulated(simulated, path):
    status, headers, reply = simulated(lambda session: chat(session, path=path))
    assert status == 200
    assert headers["x-azdistill-simulated"] == "true"
    assert reply["model"] == "m (simulated)"
    assert "not a language model" in reply["system_fingerprint"]
    assert reply["choices"][0]["message"] == {"role": "assistant", "content": "You said: hello"}
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["usage"] == {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}


def test_the_question_that_tests_an_endpoint_has_an_answer_of_its_own(simulated):
    """Experts refuse what is no row of their task: without this answer, a probe for log probabilities would fail."""
    _, _, reply = simulated(lambda session: chat(session, PROBE_QUESTION, logprobs=True, top_logprobs=5))
    assert reply["choices"][0]["message"]["content"] == "Yes."
    assert [len(token["top_logprobs"]) for token in reply["choices"][0]["logprobs"]["content"]] == [5, 5]


def test_the_root_page_has_the_counts_of_replies(simulated):
    async def run(session):
        await chat(session)
        return await (await session.get("/")).text()

    page = simulated(run)
    assert "simulated teacher, not a language model" in page
    assert "answered 1" in page


@pytest.mark.parametrize("headers", [{"api-key": "right"}, {"Authorization": "Bearer right"}])
def test_the_key_is_accepted_in_either_header(simulated, headers):
    assert simulated(lambda session: chat(session, headers=headers), key="right")[0] == 200


@pytest.mark.parametrize("headers", [{}, {"api-key": "wrong"}, {"Authorization": "Bearer "}])
def test_a_wrong_key_is_rejected_in_the_form_of_a_gateway(simulated, headers):
    status, _, reply = simulated(lambda session: chat(session, headers=headers), key="right")
    assert (status, reply["statusCode"]) == (401, 401)
    assert "error" not in reply


@pytest.mark.parametrize(
    "parameters", [{"top_k": 3}, {"messages": []}, {"max_tokens": 0}, {"stream": True}, {"n": 0}, {"temperature": 9}]
)
def test_invalid_parameters_are_rejected_by_name(simulated, parameters):
    status, _, reply = simulated(lambda session: chat(session, **parameters))
    assert status == 400
    assert next(iter(parameters)) in reply["error"]["message"]


def test_content_may_be_a_list_of_parts(simulated):
    def ask(parts):
        return simulated(lambda session: chat(session, messages=[{"role": "user", "content": parts}]))

    status, _, reply = ask([{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}])
    assert (status, reply["choices"][0]["message"]["content"]) == (200, "You said: hello")
    assert ask([{"type": "image_url", "image_url": {"url": "x"}}])[0] == 400


def test_a_conversation_that_the_expert_cannot_answer_is_rejected(simulated):
    status, _, reply = simulated(lambda session: chat(session, "? what"))
    assert status == 400
    assert "a question mark" in reply["error"]["message"]


def test_the_token_limit_truncates_the_answer(simulated):
    _, _, reply = simulated(lambda session: chat(session, max_tokens=2))
    assert reply["choices"][0]["message"]["content"] == "You said"
    assert reply["choices"][0]["finish_reason"] == "length"
    assert reply["usage"]["completion_tokens"] == 2


@pytest.mark.parametrize(
    ("rate", "statuses"), [("throttle_rate", {429}), ("error_rate", {500, 502, 503}), ("reset_rate", {0})]
)
def test_a_transient_fault_affects_its_fraction_of_rows_once(simulated, rate, statuses):
    async def run(session):
        return [await chats(session, 60) for _ in range(2)]

    first, second = simulated(run, **{rate: 0.3})
    hit = [status for status, _, _ in first if status != 200]
    assert set(hit) == statuses
    assert 8 <= len(hit) <= 28
    assert {status for status, _, _ in second} == {200}


def test_a_rate_limit_error_has_a_retry_after(simulated):
    status, headers, _ = simulated(chat, throttle_rate=1.0)
    assert (status, headers["Retry-After"]) == (429, "1")


def test_permanent_faults_affect_the_same_rows_in_every_process(simulated):
    def outcomes(seed):
        rates = {"truncated_rate": 0.3, "filtered_rate": 0.3, "wrong_rate": 0.3}
        responses = simulated(lambda session: chats(session, 40), seed=seed, **rates)
        return [(status, reply) for status, _, reply in responses]

    def kinds(responses):
        return [(status, reply.get("choices", [{}])[0].get("message")) for status, reply in responses]

    assert kinds(outcomes(1)) == kinds(outcomes(1))
    assert kinds(outcomes(1)) != kinds(outcomes(2))
    reasons = Counter(
        reply["choices"][0]["finish_reason"] if "choices" in reply else reply["error"]["code"]
        for _, reply in outcomes(1)
    )
    assert set(reasons) == {"stop", "length", "content_filter"}
    shapes = {"error" in reply for status, reply in outcomes(1) if status == 400}
    assert shapes == {True, False}


def test_wrong_answers_occur_at_their_rate(simulated):
    responses = simulated(lambda session: chats(session, 100), wrong_rate=0.2)
    wrong = sum(reply["choices"][0]["message"]["content"] == "I do not know." for _, _, reply in responses)
    assert 8 <= wrong <= 35


def test_latency_varies_around_its_mean(simulated):
    async def run(session):
        loop = asyncio.get_running_loop()
        started = loop.time()
        await chats(session, 10)
        return (loop.time() - started) / 10

    assert 0.01 <= simulated(run, latency_ms=20) <= 0.06


SAMPLED = {"wrong_rate": 0.3, "truncated_rate": 0.3, "error_rate": 0.3, "reasoning": "think"}


@pytest.mark.parametrize("options", [SAMPLED, {"examples": ("a", "b", "c")}])
def test_samples_differ_by_request_id_above_temperature_0_and_are_reproducible(simulated, options):
    def ask(temperature):
        async def run(session):
            ids = [{"x-ms-client-request-id": f"sample {number}"} for number in range(12)]
            responses = [await chat(session, headers=headers, temperature=temperature) for headers in ids]
            return [reply["choices"][0] if status == 200 else status for status, _, reply in responses]

        return simulated(run, **options)

    assert len({str(responses) for responses in ask(0.7)}) > 2
    assert ask(0.7) == ask(0.7)
    assert len({str(responses) for responses in ask(0) if responses not in (500, 502, 503)}) == 1


def test_each_sample_has_its_own_transient_fault_and_is_billed_separately(simulated):
    async def run(session):
        ids = [{"x-ms-client-request-id": name} for name in ("one", "one", "two", "two")]
        responses = [(await chat(session, headers=headers, temperature=1))[0] for headers in ids]
        return responses, (await (await session.get("/")).text()).splitlines()[-1]

    assert simulated(run, throttle_rate=1.0) == ([429, 200, 429, 200], "calls: answered 2, throttled 2")


def test_draws_are_uniform_and_reproducible():
    assert draw(0, "wrong", "a") == draw(0, "wrong", "a") != draw(1, "wrong", "a")
    draws = [draw(seed, "wrong", "a") for seed in range(1000)]
    assert 0.45 < sum(draws) / 1000 < 0.55
    assert min(draws) >= 0
    assert max(draws) < 1


@pytest.mark.parametrize(("count", "cut"), [(1, "a"), (2, "a ,"), (3, "a , b "), (9, "a , b ")])
def test_first_tokens(count, cut):
    assert first_tokens("a , b ", count) == cut
