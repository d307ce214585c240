"""Reasoning teachers: request parameters, labels without reasoning, and reasoning in the store."""

import asyncio

import pytest

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


def test_requests_with_and_without_reasoning_have_different_keys(configure, prompts):
    (prompt,) = prompts(1)
    keys = set()
    for reasoning in (False, True):
        config = configure("https://h", teacher={"reasoning": reasoning})
        keys.add(chat_request(prompt.messages, config, resolve(config.teachers[0], "endpoint", {})).key)
    assert len(keys) == 2
