"""Reasoning teachers: request parameters, labels without reasoning, and reasoning in the store."""

import asyncio
import contextlib

import orjson
import pytest

from azdistill.contracts.errors import EndpointError
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.requests import chat_request
from azdistill.teacher.store import ResponseStore
from tests.teacher.stores import find

REFUSED = ("max_tokens", "temperature", "top_p")


def ask(store, config, prompts):
    endpoint = resolve(config.teachers[0], "endpoint", {})
    return asyncio.run(collect(prompts, config, [endpoint], store))


@pytest.mark.parametrize("kind", ["reasoning_content", "think"])
def test_answers_are_labels_and_reasoning_is_kept_in_the_store(simulate, configure, prompts, tmp_path, kind):
    _, url = simulate(reasoning=kind, refused_parameters=REFUSED)
    config, rows = configure(url, teacher={"reasoning": True}), prompts(3)
    collected = ask(ResponseStore(tmp_path / "store", "run"), config, rows)
    assert [row.completion for row in collected.completions] == [f"You said: {r.messages[-1].content}" for r in rows]
    keys = {row.key for row in collected.completions}
    outcomes = find(tmp_path / "store", keys)
    traces = [outcomes.stored(key).outcome.trace for key in outcomes]
    assert len(traces) == 3
    assert all(trace.startswith("The last turn says") for trace in traces)


def test_an_answer_is_empty_if_reasoning_uses_up_max_tokens(simulate, configure, prompts, tmp_path):
    _, url = simulate(reasoning="think", refused_parameters=REFUSED)
    config = configure(url, teacher={"reasoning": True}, max_tokens=5)
    (row,) = ask(ResponseStore(tmp_path / "store", "run"), config, prompts(1)).completions
    assert (row.completion, row.finish_reason) == ("", "length")


def request_of(configure, prompt, **teacher):
    config = configure("https://h", teacher=teacher)
    return chat_request(prompt.messages, config, resolve(config.teachers[0], "endpoint", {}))


def test_parameters_are_sent_as_they_are_and_are_part_of_the_key(configure, prompts):
    (prompt,) = prompts(1)
    parameters = {"reasoning_effort": "low", "top_k": 20, "chat_template_kwargs": {"enable_thinking": False}}
    plain, same, other = (
        request_of(configure, prompt, parameters=values) for values in ({}, parameters, parameters | {"top_k": 21})
    )
    assert orjson.loads(same.body) == {**orjson.loads(plain.body), **parameters}
    assert same.key == request_of(configure, prompt, parameters=dict(reversed(parameters.items()))).key
    assert len({plain.key, same.key, other.key}) == 3


def test_a_teacher_without_parameters_keeps_the_keys_of_earlier_versions(configure, prompts):
    (prompt,) = prompts(1)
    assert request_of(configure, prompt).key == "4e10e66d85a2dfe768b653564e1d0b706f4103a4c2fa43e542be7a2749f03936"


@pytest.mark.parametrize("accepted", [(), ("top_k",)])
def test_a_simulated_teacher_refuses_parameters_that_it_does_not_accept(
    simulate, configure, prompts, tmp_path, accepted
):
    _, url = simulate(accepted_parameters=accepted)
    config = configure(url, teacher={"parameters": {"top_k": 20}})
    with contextlib.nullcontext() if accepted else pytest.raises(EndpointError, match="'top_k'"):
        assert len(ask(ResponseStore(tmp_path / "store", "run"), config, prompts(3)).completions) == 3


def test_requests_with_and_without_reasoning_have_different_keys(configure, prompts):
    (prompt,) = prompts(1)
    keys = set()
    for reasoning in (False, True):
        config = configure("https://h", teacher={"reasoning": reasoning})
        keys.add(chat_request(prompt.messages, config, resolve(config.teachers[0], "endpoint", {})).key)
    assert len(keys) == 2
