"""Routing policies: which teacher gets which row, which answers are used, and no answer is paid twice."""

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.requests import Teacher
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.collect import Collected, collect
from azdistill.teacher.endpoint import resolve_all
from azdistill.teacher.policies import draw
from azdistill.teacher.store import ResponseStore
from tests.teacher import test_client
from tests.teacher.test_client import Endpoint, refused

# Reply of a teacher to a row, by the number of the row and of the try.
ReplyFunction = Callable[[int, int], str | web.Response]


def completion_of(text: str, finish_reason: str = "stop") -> web.Response:
    choice = {"message": {"content": text}, "finish_reason": finish_reason}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


class RecordingTeacher:
    """A teacher over real HTTP. Records the numbers of the rows that it was asked, in order."""

    def __init__(self, name: str, reply_to: ReplyFunction, url: str = "") -> None:
        self.name, self.reply_to, self.url, self.asked = name, reply_to, url, list[int]()
        self.endpoint = Endpoint(self.reply)

    def reply(self, row: str, times: int) -> web.Response:
        number = int(re.findall(r"\d+", row)[0])
        self.asked.append(number)
        reply = self.reply_to(number, times)
        return completion_of(reply) if isinstance(reply, str) else reply


@pytest.fixture
def collect_from(tmp_path, prompts):
    """Collect answers to rows from teachers with the given replies; returns the teachers and the collected results."""

    def run(
        replies: dict[str, Any], rows: list[Prompt] | int = 20, weights: tuple[float, ...] = (), **fields
    ) -> tuple[list[RecordingTeacher], Collected]:
        async def asking() -> tuple[list[RecordingTeacher], Collected]:
            recording = [
                reply if isinstance(reply, RecordingTeacher) else RecordingTeacher(name, reply)
                for name, reply in replies.items()
            ]
            async with contextlib.AsyncExitStack() as stack:
                urls = [
                    teacher.url or await stack.enter_async_context(teacher.endpoint.listening())
                    for teacher in recording
                ]
                all_weights = weights or (1.0,) * len(recording)
                teachers = tuple(
                    Teacher(model="m", name=teacher.name, endpoint=url, weight=weight, input_price=1, output_price=1)
                    for teacher, url, weight in zip(recording, urls, all_weights, strict=True)
                )
                config = TeacherConfig(teachers=teachers, **{"max_reject_ratio": 1.0, **fields})
                # The identity has no port, so that a second run on other ports finds the stored answers.
                endpoints = [
                    replace(endpoint, identity=endpoint.teacher.called) for endpoint in resolve_all(config, {})
                ]
                prompts_to_ask = rows if isinstance(rows, list) else prompts(rows)
                return recording, await collect(
                    prompts_to_ask, config, endpoints, ResponseStore(tmp_path / "store", "run")
                )

        return asyncio.run(asking())

    return run


def by_row(collected: Collected) -> dict[int, list[tuple[str, int, str]]]:
    """Teacher, sample and answer of the completions of each row, in order."""
    answers: dict[int, list[tuple[str, int, str]]] = {}
    for row in collected.completions:
        answers.setdefault(int(row.source.split(":")[1]) - 1, []).append((row.teacher, row.sample, row.completion))
    return answers


def test_route_assigns_each_prompt_to_one_teacher_by_weight_independent_of_other_rows(collect_from, prompts):
    replies = {"small": lambda row, times: "s", "large": lambda row, times: "l"}
    (small, large), collected = collect_from(replies, 400, weights=(3, 1))
    assert sorted(small.asked + large.asked) == list(range(400))
    assert 60 <= len(large.asked) <= 140, "a quarter of 400, within four standard deviations"
    assert collected.usage["answered_by"] == {"small": len(small.asked), "large": len(large.asked)}
    assert {row.teacher: row.completion for row in collected.completions} == {"small": "s", "large": "l"}
    (again, more), later = collect_from(replies, prompts(450)[200:], weights=(3, 1))
    assert len(again.asked) + len(more.asked) == 50, "unchanged rows keep their teacher and their answer"
    assert later.usage["from_store"] == 200


@pytest.mark.parametrize(("weights", "expected"), [((1, 0.0001), 0), ((0.0001, 1), 1), ((5,), 0)])
def test_weights_are_relative_to_their_sum(weights, expected):
    assert Counter(draw(str(key), weights) for key in range(1000))[expected] >= 995


def test_policy_all_asks_every_teacher_and_test_rows_only_the_first(collect_from):
    replies = {name: lambda row, times, name=name: f"{name} {row}" for name in ("one", "two", "three")}
    teachers, collected = collect_from(replies, 20, policy="all")
    assert [len(teacher.asked) for teacher in teachers] == [20, 18, 18]
    answers = by_row(collected)
    assert answers[9] == [("one", 0, "one 9")]
    assert answers[3] == [("one", 0, "one 3"), ("two", 0, "two 3"), ("three", 0, "three 3")]


def test_each_sample_is_a_call_and_more_samples_reuse_stored_ones(collect_from):
    replies = {"one": lambda row, times: f"{times}"}
    (one,), collected = collect_from(replies, 10, temperature=0.7)
    assert len(one.asked) == 10
    (one,), collected = collect_from(replies, 10, temperature=0.7, samples=4)
    assert Counter(one.asked) == dict.fromkeys(range(9), 3)
    assert [sample for _, sample, _ in by_row(collected)[0]] == [0, 1, 2, 3]
    assert len(by_row(collected)[9]) == 1, "a test row has one answer"
    (one,), again = collect_from(replies, 10, temperature=0.7, samples=4)
    assert one.asked == []
    assert again.completions == collected.completions


def cheap(row: int, times: int) -> str | web.Response:
    """Row 0 is rejected, 1 is cut, 2 is blank, 3 is no label, 4 has two different labels, the others agree."""
    special = {
        0: refused(400),
        1: completion_of("neutr", "length"),
        2: completion_of(""),
        3: completion_of("hard to say"),
    }
    return special.get(row) or ("neutral" if row == 4 and times > 1 else "entailment")


def test_cascade_asks_the_strong_teacher_where_the_cheap_one_is_invalid_or_disagrees(collect_from):
    replies = {"cheap": cheap, "strong": lambda row, times: "contradiction"}
    (low, high), collected = collect_from(replies, 10, policy="cascade", task="nli", samples=3, temperature=1.0)
    assert Counter(low.asked) == dict.fromkeys(range(10), 3)
    assert Counter(high.asked) == dict.fromkeys(range(5), 3)
    answers = by_row(collected)
    assert all(answers[row] == [("strong", n, "contradiction") for n in range(3)] for row in range(5))
    assert answers[5] == [("cheap", n, "entailment") for n in range(3)]
    assert answers[9] == [("cheap", 0, "entailment")], "a test row is asked as often as others, and has one answer"
    usages = [collected.usage["teachers"][name] for name in ("cheap", "strong")]
    assert [(usage["calls"], usage["ledger"]["preflight"]["calls"]) for usage in usages] == [(30, 1), (15, 1)]


def test_fallback_asks_the_next_teacher_only_failed_rows_and_uses_its_reply(collect_from):
    def first(row: int, times: int) -> str | web.Response:
        return cheap(row, 1) if row != 3 else "an answer"

    replies = {"first": first, "second": lambda row, times: completion_of("no", "length") if row == 1 else "second"}
    (one, two), collected = collect_from(replies, 10, policy="fallback")
    assert sorted(one.asked) == list(range(10))
    assert sorted(two.asked) == [0, 1, 2]
    assert [name for ((name, _, _),) in by_row(collected).values()] == ["second"] * 3 + ["first"] * 7
    assert [row.finish_reason for row in collected.completions].count("length") == 1
    (one, two), again = collect_from(replies, 10, policy="fallback")
    assert (one.asked, sorted(two.asked)) == ([0], []), (
        "a row is asked again if the cause of its rejection may have been fixed"
    )
    assert again.completions == collected.completions


def test_fallback_replaces_an_endpoint_that_is_removed_during_the_run(collect_from, caplog):
    caplog.set_level(logging.INFO, "azdistill")
    answered = iter(range(1000))
    replies: dict[str, ReplyFunction] = {
        "first": lambda row, times: "first" if next(answered) < 50 else refused(404),
        "second": lambda row, times: "second",
    }
    (_, two), collected = collect_from(replies, 200, policy="fallback")
    counts = Counter(row.completion for row in collected.completions)
    assert counts == {"first": 50, "second": 150}
    assert len(two.asked) == 150
    assert "the next teacher answers its remaining rows" in caplog.text
    with pytest.raises(EndpointError, match="no such model or path"):
        collect_from(replies, 300, policy="route", weights=(1, 0.0001))


class Unusable(RecordingTeacher):
    """A teacher that refuses every call, also the preflight, with one status."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(name, lambda row, times: refused(status))
        self.endpoint = test_client.Endpoint(self.reply, preflight=refused(status))


@pytest.mark.parametrize(("status", "top_logprobs"), [(404, 0), (401, 0), (404, 5)])
def test_fallback_replaces_a_first_teacher_that_fails_at_the_start(collect_from, caplog, status, top_logprobs):
    caplog.set_level(logging.INFO, "azdistill")
    replies = {"first": Unusable("first", status), "second": lambda row, times: "second"}
    (_, two), collected = collect_from(replies, 20, policy="fallback", top_logprobs=top_logprobs)
    assert {row.teacher for row in collected.completions} == {"second"}
    assert len(collected.completions) == len(two.asked) == 20
    assert "the next teacher answers its remaining rows" in caplog.text


@pytest.mark.slow
def test_fallback_replaces_an_unreachable_first_teacher(collect_from):
    unreachable = RecordingTeacher("first", lambda row, times: "first", "http://127.0.0.1:9")
    (_, two), collected = collect_from(
        {"first": unreachable, "second": lambda row, times: "second"}, 20, policy="fallback"
    )
    assert {row.teacher for row in collected.completions} == {"second"}
    assert len(two.asked) == 20


@pytest.mark.parametrize("policy", ["route", "all", "cascade"])
def test_only_fallback_replaces_a_teacher_that_fails_at_the_start(collect_from, policy):
    teachers = {"first": Unusable("first", 404), "second": lambda row, times: "second"}
    with pytest.raises(EndpointError):
        collect_from(teachers, 20, policy=policy)


def test_fallback_ends_when_the_last_teacher_fails_too(collect_from):
    with pytest.raises(EndpointError):
        collect_from({"first": Unusable("first", 404), "second": Unusable("second", 404)}, 20, policy="fallback")


def test_equal_prompts_are_asked_once_per_teacher(collect_from, prompts):
    rows = [row.model_copy(update={"source": f"rows:{n + 1}"}) for n, row in enumerate(prompts(5) * 3)]
    replies = {name: lambda row, times: f"{row}" for name in ("one", "two")}
    teachers, collected = collect_from(replies, rows, policy="all", samples=2, temperature=0.5)
    assert [Counter(teacher.asked) for teacher in teachers] == [dict.fromkeys(range(5), 2)] * 2
    assert len(collected.completions) == 15 * 4


def test_the_budget_limits_the_sum_of_all_teachers(collect_from):
    replies = {name: lambda row, times: f"{row}" for name in ("one", "two")}
    with pytest.raises(Exception, match=r"teacher\.budget=0\.0015: .* is spent, and the next answer may cost"):
        collect_from(replies, 200, policy="all", budget=0.0015, max_tokens=20)
