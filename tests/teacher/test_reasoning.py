"""A reasoning model: what it is asked with, what of its answer is a label, and where its thoughts are kept."""

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
def test_its_answers_are_labels_and_its_thoughts_stay_in_the_store(simulate, configure, prompts, tmp_path, kind):
    _, url = simulate(reasoning=kind, refused_parameters=REFUSED)
    config, rows = configure(url, teacher={"reasoning": True}), prompts(3)
    collected = ask(ResponseStore(tmp_path / "store", "run"), config, rows)
    assert [row.completion for row in collected.completions] == [f"You said: {r.messages[-1].content}" for r in rows]
    keys = {row.key for row in collected.completions}
    found = find(tmp_path / "store", keys)
    traces = [found.stored(key).outcome.trace for key in found]
    assert len(traces) == 3
    assert all(trace.startswith("The last turn says") for trace in traces)


def test_a_limit_that_its_thoughts_use_up_leaves_no_label(simulate, configure, prompts, tmp_path):
    _, url = simulate(reasoning="think", refused_parameters=REFUSED)
    config = configure(url, teacher={"reasoning": True}, max_tokens=5)
    (row,) = ask(ResponseStore(tmp_path / "store", "run"), config, prompts(1)).completions
    assert (row.completion, row.finish_reason) == ("", "length")


def test_what_is_asked_without_the_parameters_is_another_answer(configure, prompts):
    (prompt,) = prompts(1)
    keys = set()
    for reasoning in (False, True):
        config = configure("https://h", teacher={"reasoning": reasoning})
        keys.add(chat_request(prompt.messages, config, resolve(config.teachers[0], "endpoint", {})).key)
    assert len(keys) == 2
