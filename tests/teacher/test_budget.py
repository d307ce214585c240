"""The budget is never exceeded, with any number of requests in flight, and the costs by outcome add up."""

import asyncio
import logging
from dataclasses import replace

import pytest
from aiohttp import web
from pydantic import ValidationError

from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import BudgetReached
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.store import ResponseStore
from tests.teacher.test_client import Endpoint

PRICES = {"input_price": 1.0, "output_price": 4.0, "max_in_flight": 16}
COST = (100 * 1.0 + 50 * 4.0) / 1e6


def reply_of(finish_reason="stop", prompt_tokens=100, completion_tokens=50):
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
    choice = {"message": {"content": "yes"}, "finish_reason": finish_reason}
    return web.json_response({"choices": [choice], "usage": usage})


@pytest.fixture
def collect_rows(tmp_path, prompts, configure):
    def run(reply, count, **fields):
        async def asking():
            endpoint = Endpoint(reply)
            async with endpoint.listening() as url:
                config: TeacherConfig = configure(url, teacher=PRICES, max_tokens=60, **fields)
                address = replace(resolve(config.teachers[0], "endpoint", {}), identity="one and the same")
                store = ResponseStore(tmp_path / "store", "run")
                try:
                    return endpoint, await collect(prompts(count), config, [address], store)
                except BudgetReached as problem:
                    return endpoint, problem

        return asyncio.run(asking())

    return run


def test_a_budget_stops_before_it_is_exceeded_and_is_nearly_used(collect_rows):
    budget = 40 * COST
    endpoint, problem = collect_rows(lambda row, times: reply_of(), 200, budget=budget)
    calls = sum(map(len, endpoint.times.values()))
    assert isinstance(problem, BudgetReached)
    assert calls * COST <= budget
    assert calls >= 38
    assert "raise the budget and run again; stored answers are not paid for again" in str(problem)


def test_the_next_run_counts_the_cost_of_stored_answers(collect_rows):
    first, _ = collect_rows(lambda row, times: reply_of(), 200, budget=40 * COST)
    second, problem = collect_rows(lambda row, times: reply_of(), 200, budget=60 * COST)
    calls = sum(map(len, first.times.values())) + sum(map(len, second.times.values()))
    assert isinstance(problem, BudgetReached)
    assert 57 <= calls <= 60
    third, collected = collect_rows(lambda row, times: reply_of(), 200, budget=201 * COST)
    assert calls + sum(map(len, third.times.values())) == 200
    assert len(collected.completions) == 200


@pytest.mark.parametrize(
    "usage",
    [
        None,
        "many",
        {},
        {"prompt_tokens": 0, "completion_tokens": 0},
        {"prompt_tokens": -100, "completion_tokens": -50},
        {"prompt_tokens": "100", "completion_tokens": None},
        {"prompt_tokens": 10**18, "completion_tokens": 2**63},
        {"prompt_tokens": 100},
    ],
    ids=str,
)
def test_a_budget_holds_without_plausible_usage(collect_rows, usage, caplog):
    """Without usage a call costs what was reserved: a token for each byte of the request, and max_tokens."""
    choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
    budget = 0.004
    endpoint, problem = collect_rows(
        lambda row, times: web.json_response({"choices": [choice], "usage": usage}), 400, budget=budget
    )
    assert isinstance(problem, BudgetReached)
    calls = sum(map(len, endpoint.times.values()))
    assert 7 <= calls <= 13
    assert caplog.text.count("answers without token counts") == 1
    again, problem = collect_rows(
        lambda row, times: web.json_response({"choices": [choice], "usage": usage}), 400, budget=budget
    )
    assert isinstance(problem, BudgetReached)
    assert sum(map(len, again.times.values())) <= 2, "stored answers have the same cost as in the run that asked them"


def test_a_cut_answer_without_usage_costs_max_tokens(collect_rows):
    choice = {"message": {"content": "yes"}, "finish_reason": "length"}
    endpoint, problem = collect_rows(lambda row, times: web.json_response({"choices": [choice]}), 400, budget=0.004)
    assert isinstance(problem, BudgetReached)
    assert 5 <= sum(map(len, endpoint.times.values())) <= 16


def test_costs_are_counted_as_useful_unusable_and_retried(collect_rows):
    def reply(row, times):
        if row.startswith("row 1 ") and times == 1:
            return web.Response(status=500)
        return reply_of("length" if row.startswith("row 2 ") else "stop")

    _, collected = collect_rows(reply, 20)
    ledger = collected.usage["ledger"]
    assert (ledger["useful"]["calls"], ledger["unusable"]["calls"], ledger["retried"]["calls"]) == (19, 1, 1)
    assert ledger["useful"]["cost"] == pytest.approx(19 * COST)
    assert ledger["unusable"]["cost"] == pytest.approx(COST)
    assert collected.usage["prompt_tokens"] == 20 * 100


def test_a_call_without_a_reply_counts_against_the_budget(collect_rows):
    _endpoint, collected = collect_rows(
        lambda row, times: 1.0, 4, budget=1.0, timeout_s=0.1, max_attempts=1, max_reject_ratio=1.0
    )
    assert {reject.reason for reject in collected.rejects} == {"timeout"}


def test_spending_is_logged(collect_rows, caplog):
    caplog.set_level(logging.INFO, "azdistill")
    collect_rows(lambda row, times: reply_of(prompt_tokens=1_000_000), 5, budget=100.0)
    assert "spent 5.00 of 100" in caplog.text


def test_a_budget_needs_prices():
    with pytest.raises(ValidationError, match="budget needs the prices of teacher 'm'") as raised:
        TeacherConfig(teachers=({"model": "m", "endpoint": "http://127.0.0.1:1"},), budget=5.0)
    assert [error["type"] for error in raised.value.errors()] == ["no_prices"]
