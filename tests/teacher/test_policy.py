"""Several teachers and several answers: who is asked what, what counts, and what is bought once."""

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import Teacher, TeacherConfig
from azdistill.teacher.collect import Collected, collect
from azdistill.teacher.endpoint import resolve_all
from azdistill.teacher.policies import draw
from azdistill.teacher.store import ResponseStore
from tests.teacher import test_client
from tests.teacher.test_client import Endpoint, refused

Says = Callable[[int, int], str | web.Response]
"""What a teacher replies to the row of a number, the nth time that it is asked."""


def said(text: str, finish_reason: str = "stop") -> web.Response:
    choice = {"message": {"content": text}, "finish_reason": finish_reason}
    return web.json_response({"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 5}})


class Seat:
    """A teacher of real HTTP, and the rows that it was asked, in their order."""

    def __init__(self, name: str, says: Says, url: str = "") -> None:
        self.name, self.says, self.url, self.asked = name, says, url, list[int]()
        self.endpoint = Endpoint(self.reply)

    def reply(self, row: str, times: int) -> web.Response:
        number = int(re.findall(r"\d+", row)[0])
        self.asked.append(number)
        found = self.says(number, times)
        return said(found) if isinstance(found, str) else found


@pytest.fixture
def put(tmp_path, prompts):
    """Put rows to teachers as a policy has it; returns who was asked what, and what was collected."""

    def run(
        seats: dict[str, Any], rows: list[Prompt] | int = 20, weights: tuple[float, ...] = (), **fields
    ) -> tuple[list[Seat], Collected]:
        async def asking() -> tuple[list[Seat], Collected]:
            panel = [says if isinstance(says, Seat) else Seat(name, says) for name, says in seats.items()]
            async with contextlib.AsyncExitStack() as stack:
                urls = [seat.url or await stack.enter_async_context(seat.endpoint.listening()) for seat in panel]
                parts = weights or (1.0,) * len(panel)
                teachers = tuple(
                    Teacher(model="m", name=seat.name, endpoint=url, weight=weight, input_price=1, output_price=1)
                    for seat, url, weight in zip(panel, urls, parts, strict=True)
                )
                config = TeacherConfig(teachers=teachers, **{"max_reject_ratio": 1.0, **fields})
                fixed = [  # so that a second run, on other ports, asks the same teachers
                    type(one)(one.url, one.teacher, one.teacher.called, one.auth) for one in resolve_all(config, {})
                ]
                found = rows if isinstance(rows, list) else prompts(rows)
                return panel, await collect(found, config, fixed, ResponseStore(tmp_path / "store", "run"))

        return asyncio.run(asking())

    return run


def by_row(collected: Collected) -> dict[int, list[tuple[str, int, str]]]:
    """Teacher, sample and answer of each row's completions, in their order."""
    found: dict[int, list[tuple[str, int, str]]] = {}
    for row in collected.completions:
        found.setdefault(int(row.source.split(":")[1]) - 1, []).append((row.teacher, row.sample, row.completion))
    return found


def test_route_gives_each_prompt_to_one_teacher_by_weight_whatever_the_other_rows_are(put, prompts):
    seats = {"small": lambda row, times: "s", "large": lambda row, times: "l"}
    (small, large), collected = put(seats, 400, weights=(3, 1))
    assert sorted(small.asked + large.asked) == list(range(400))
    assert 60 <= len(large.asked) <= 140, "a quarter of 400, give or take four deviations"
    assert collected.usage["answered_by"] == {"small": len(small.asked), "large": len(large.asked)}
    assert {row.teacher: row.completion for row in collected.completions} == {"small": "s", "large": "l"}
    (again, more), later = put(seats, prompts(450)[200:], weights=(3, 1))
    assert len(again.asked) + len(more.asked) == 50, "the rows that were there keep their teacher and their answer"
    assert later.usage["from_store"] == 200


@pytest.mark.parametrize(("weights", "place"), [((1, 0.0001), 0), ((0.0001, 1), 1), ((5,), 0)])
def test_weights_are_parts_of_their_sum(weights, place):
    assert Counter(draw(str(key), weights) for key in range(1000))[place] >= 995


def test_all_asks_every_teacher_and_a_test_row_has_the_first_ones_answer(put):
    seats = {name: lambda row, times, name=name: f"{name} {row}" for name in ("one", "two", "three")}
    panel, collected = put(seats, 20, policy="all")
    assert [len(seat.asked) for seat in panel] == [20, 18, 18]
    found = by_row(collected)
    assert found[9] == [("one", 0, "one 9")]
    assert found[3] == [("one", 0, "one 3"), ("two", 0, "two 3"), ("three", 0, "three 3")]


def test_samples_are_asked_of_their_own_and_more_of_them_keep_those_that_are_there(put):
    seats = {"one": lambda row, times: f"{times}"}
    (one,), collected = put(seats, 10, temperature=0.7)
    assert len(one.asked) == 10
    (one,), collected = put(seats, 10, temperature=0.7, samples=4)
    assert Counter(one.asked) == dict.fromkeys(range(9), 3)
    assert [sample for _, sample, _ in by_row(collected)[0]] == [0, 1, 2, 3]
    assert len(by_row(collected)[9]) == 1, "a test row has one answer"
    (one,), again = put(seats, 10, temperature=0.7, samples=4)
    assert one.asked == []
    assert again.completions == collected.completions


def cheap(row: int, times: int) -> str | web.Response:
    """Row 0 is refused for good, 1 is cut, 2 is blank, 3 is no label, 4 has two opinions, the others are sure."""
    special = {0: refused(400), 1: said("neutr", "length"), 2: said(""), 3: said("hard to say")}
    return special.get(row) or ("neutral" if row == 4 and times > 1 else "entailment")


def test_a_cascade_asks_the_strong_one_where_the_cheap_one_does_not_convince(put):
    seats = {"cheap": cheap, "strong": lambda row, times: "contradiction"}
    (low, high), collected = put(seats, 10, policy="cascade", task="nli", samples=3, temperature=1.0)
    assert Counter(low.asked) == dict.fromkeys(range(10), 3)
    assert Counter(high.asked) == dict.fromkeys(range(5), 3)
    found = by_row(collected)
    assert all(found[row] == [("strong", n, "contradiction") for n in range(3)] for row in range(5))
    assert found[5] == [("cheap", n, "entailment") for n in range(3)]
    assert found[9] == [("cheap", 0, "entailment")], "a test row is asked as often, and has one answer"
    ledgers = [collected.usage["teachers"][name] for name in ("cheap", "strong")]
    assert [(one["calls"], one["ledger"]["preflight"]["calls"]) for one in ledgers] == [(30, 1), (15, 1)]


def test_fallback_takes_only_what_failed_to_the_next_one_and_the_last_word_stands(put):
    def first(row: int, times: int) -> str | web.Response:
        return cheap(row, 1) if row != 3 else "an answer"

    seats = {"first": first, "second": lambda row, times: said("no", "length") if row == 1 else "second"}
    (one, two), collected = put(seats, 10, policy="fallback")
    assert sorted(one.asked) == list(range(10))
    assert sorted(two.asked) == [0, 1, 2]
    assert [name for ((name, _, _),) in by_row(collected).values()] == ["second"] * 3 + ["first"] * 7
    assert [row.finish_reason for row in collected.completions].count("length") == 1
    (one, two), again = put(seats, 10, policy="fallback")
    assert (one.asked, sorted(two.asked)) == ([0], []), "a refusal that may have been mended is asked again"
    assert again.completions == collected.completions


def test_an_endpoint_that_is_taken_away_leaves_its_rows_to_the_next_one(put, caplog):
    caplog.set_level(logging.INFO, "azdistill")
    answered = iter(range(1000))
    seats: dict[str, Says] = {
        "first": lambda row, times: "first" if next(answered) < 50 else refused(404),
        "second": lambda row, times: "second",
    }
    (_, two), collected = put(seats, 200, policy="fallback")
    counts = Counter(row.completion for row in collected.completions)
    assert counts == {"first": 50, "second": 150}
    assert len(two.asked) == 150
    assert "the next teacher answers its remaining rows" in caplog.text
    with pytest.raises(EndpointError, match="no such model or path"):
        put(seats, 300, policy="route", weights=(1, 0.0001))


class Unusable(Seat):
    """A teacher whose every reply, the preflight's included, is the same refusal."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(name, lambda row, times: refused(status))
        self.endpoint = test_client.Endpoint(self.reply, preflight=refused(status))


@pytest.mark.parametrize(("status", "top_logprobs"), [(404, 0), (401, 0), (404, 5)])
def test_a_first_teacher_that_fails_at_the_start_leaves_its_rows_to_the_next_one(put, caplog, status, top_logprobs):
    caplog.set_level(logging.INFO, "azdistill")
    seats = {"first": Unusable("first", status), "second": lambda row, times: "second"}
    (_, two), collected = put(seats, 20, policy="fallback", top_logprobs=top_logprobs)
    assert {row.teacher for row in collected.completions} == {"second"}
    assert len(collected.completions) == len(two.asked) == 20
    assert "the next teacher answers its remaining rows" in caplog.text


def test_a_first_teacher_that_nobody_reaches_leaves_its_rows_to_the_next_one(put):
    nobody = Seat("first", lambda row, times: "first", "http://127.0.0.1:9")
    (_, two), collected = put({"first": nobody, "second": lambda row, times: "second"}, 20, policy="fallback")
    assert {row.teacher for row in collected.completions} == {"second"}
    assert len(two.asked) == 20


@pytest.mark.parametrize("policy", ["route", "all", "cascade"])
def test_only_fallback_replaces_a_teacher_that_fails_at_the_start(put, policy):
    teachers = {"first": Unusable("first", 404), "second": lambda row, times: "second"}
    with pytest.raises(EndpointError):
        put(teachers, 20, policy=policy)


def test_fallback_ends_when_the_last_teacher_fails_too(put):
    with pytest.raises(EndpointError):
        put({"first": Unusable("first", 404), "second": Unusable("second", 404)}, 20, policy="fallback")


def test_prompts_that_read_alike_are_asked_once_at_each_teacher(put, prompts):
    rows = [row.model_copy(update={"source": f"rows:{n + 1}"}) for n, row in enumerate(prompts(5) * 3)]
    seats = {name: lambda row, times: f"{row}" for name in ("one", "two")}
    panel, collected = put(seats, rows, policy="all", samples=2, temperature=0.5)
    assert [Counter(seat.asked) for seat in panel] == [dict.fromkeys(range(5), 2)] * 2
    assert len(collected.completions) == 15 * 4


def test_one_budget_holds_for_all_teachers_together(put):
    seats = {name: lambda row, times: f"{row}" for name in ("one", "two")}
    with pytest.raises(Exception, match=r"teacher\.budget=0\.0015: .* is spent, and the next answer may cost"):
        put(seats, 200, policy="all", budget=0.0015, max_tokens=20)
