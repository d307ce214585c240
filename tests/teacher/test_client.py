"""The client of an endpoint, in this process: order of requests, retries, and tries charged to a row."""

import asyncio
import contextlib
import email.utils
import time
from collections import Counter
from collections.abc import Callable

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.rows import Message, Prompt
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.preflight import PREFLIGHT_MESSAGES
from azdistill.teacher.replies import Retry
from azdistill.teacher.retries import LONGEST_WAIT_S, wait_s
from azdistill.teacher.store import ResponseStore

ANSWER = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": {}}


class Endpoint:
    """HTTP endpoint that replies with `reply(row, try)`, a response or seconds to wait. Records when each row came."""

    def __init__(
        self, reply: Callable[[str, int], web.Response | float], preflight: web.Response | None = None
    ) -> None:
        self.reply, self.preflight, self.times = reply, preflight, dict[str, list[float]]()
        self.in_flight = self.max_in_flight = 0

    async def chat(self, request: web.Request) -> web.Response:
        row = (await request.json())["messages"][-1]["content"]
        if row == PREFLIGHT_MESSAGES[0]["content"]:
            preflight = self.preflight
            return web.json_response(ANSWER) if preflight is None else refused(preflight.status)
        self.times.setdefault(row, []).append(time.monotonic())
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            reply = self.reply(row, len(self.times[row]))
            if isinstance(reply, float):
                await asyncio.sleep(reply)
                return web.json_response(ANSWER)
            return reply
        finally:
            self.in_flight -= 1

    @contextlib.asynccontextmanager
    async def listening(self):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.fixture
def ask(tmp_path, prompts, configure):
    """Collect `count` rows from an endpoint with the given replies; returns the endpoint and the results."""

    def run(reply, count, *, in_flight=64, rows=None, **fields):
        async def asking():
            endpoint = Endpoint(reply)
            async with endpoint.listening() as url:
                config = configure(url, teacher={"max_in_flight": in_flight}, **{"max_reject_ratio": 1.0, **fields})
                store = ResponseStore(tmp_path / "store", "run")
                address = resolve(config.teachers[0], "endpoint", {})
                return endpoint, await collect(rows or prompts(count), config, [address], store)

        return asyncio.run(asking())

    return run


def refused(status: int, **headers: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": "no"}, status=status, headers=headers)


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_delays_only_the_refused_row(ask, as_date):
    def reply(row, times):
        if row.startswith("row 0 ") and times == 1:
            header = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "1"
            return web.Response(status=429, headers={"Retry-After": header})
        return 0.005

    endpoint, collected = ask(reply, 60, in_flight=4)
    assert len(collected.completions) == 60
    first, second = next(times for row, times in endpoint.times.items() if row.startswith("row 0 "))
    assert 0.95 <= second - first <= 2.6
    others = [times for row, times in endpoint.times.items() if not row.startswith("row 0 ")]
    assert all(len(times) == 1 and times[0] - first < 0.9 for times in others)


def test_the_number_of_requests_in_flight_is_kept_and_never_exceeded(ask):
    slow = 1.2
    endpoint, _ = ask(lambda row, times: slow if row.startswith("row 0 ") else 0.02, 150, in_flight=8)
    started = [times[0] for times in endpoint.times.values()]
    assert endpoint.max_in_flight == 8
    # 149 rows of 20 ms, 7 at a time, take less than the slow row: there are no batches.
    assert max(started) - min(started) < slow


def test_prompts_in_progress_are_bounded(ask):
    """The number of tasks does not depend on the number of prompts."""
    tasks = []

    def reply(row, times):
        tasks.append(len(asyncio.all_tasks()))
        return 0.002

    _, collected = ask(reply, 300, in_flight=4)
    assert len(collected.completions) == 300
    assert max(tasks) < 100


@pytest.mark.slow
def test_rows_that_wait_for_a_retry_do_not_hold_back_others(ask):
    """Far more rows wait than there are slots."""

    def reply(row, times):
        is_refused = times == 1 and int(row.split()[1]) % 5
        return refused(429, **{"Retry-After": "2"}) if is_refused else 0.0

    endpoint, collected = ask(reply, 40, in_flight=4)
    assert len(collected.completions) == 40
    first_tries = [times[0] for times in endpoint.times.values()]
    retries = [times[1] for times in endpoint.times.values() if len(times) > 1]
    assert len(retries) == 32
    assert sorted(first_tries)[12] < min(retries), "others are asked while far more rows wait than there are slots"


def test_a_retry_has_priority_over_rows_that_were_not_sent_yet(ask):
    def reply(row, times):
        return refused(500, **{"Retry-After": "0"}) if row.startswith("row 0 ") and times == 1 else 0.01

    endpoint, _ = ask(reply, 50, in_flight=2)
    order = sorted((time, row) for row, times in endpoint.times.items() for time in times)
    assert max(n for n, (_, row) in enumerate(order) if row.startswith("row 0 ")) < 10


def test_duplicates_are_sent_once_and_each_row_gets_the_answer(ask, prompts):
    rows = [row.model_copy(update={"source": f"rows:{n}"}) for n in range(3) for row in prompts(10)]
    endpoint, collected = ask(lambda row, times: 0.0, 0, rows=rows)
    assert Counter(len(times) for times in endpoint.times.values()) == {1: 10}
    assert [row.source for row in collected.completions] == [row.source for row in rows]
    assert (collected.usage["asked"], collected.usage["answered"]) == (10, 30)


def test_a_row_is_rejected_after_max_attempts_with_the_last_reason(ask):
    def reply(row, times):
        return refused(503, **{"Retry-After": "0"}) if row.startswith("row 3 ") else 0.0

    endpoint, collected = ask(reply, 10, max_attempts=4)
    assert [(reject.reason, reject.source) for reject in collected.rejects] == [("http_503", "rows:4")]
    assert "gave up after 4 tries; the last: HTTP 503: no" in collected.rejects[0].detail
    assert len(endpoint.times["row 3 wants an answer"]) == 4


def test_refusals_by_a_rate_limit_are_not_charged_while_other_rows_are_answered(ask):
    calls = iter(range(10_000))

    def reply(row, times):
        return 0.0 if next(calls) % 5 == 0 else refused(429, **{"Retry-After": "0.01"})

    endpoint, collected = ask(reply, 60, in_flight=30, max_attempts=6)
    assert len(collected.completions) == 60
    assert max(len(times) for times in endpoint.times.values()) > 6


def test_rows_are_rejected_if_a_rate_limit_refuses_all(ask):
    _, collected = ask(lambda row, times: refused(429, **{"Retry-After": "0"}), 5, max_attempts=3)
    assert Counter(reject.reason for reject in collected.rejects) == {"http_429": 5}


def test_a_request_without_a_reply_times_out_and_is_retried(ask):
    _, collected = ask(lambda row, times: 5.0 if times == 1 else 0.0, 3, timeout_s=0.2)
    assert len(collected.completions) == 3
    assert collected.usage["retries"] == {"timeout": 3}


@pytest.mark.parametrize(("status", "message"), [(401, "key"), (403, "denied"), (404, "model"), (307, "redirects")])
def test_a_refusal_that_affects_all_rows_stops_the_run(ask, status, message):
    with pytest.raises(EndpointError, match=message):
        ask(lambda row, times: refused(status, Location="http://127.0.0.1:9/"), 500, in_flight=4)


def test_empty_and_cut_answers_are_kept_unchanged(ask):
    def reply(row, times):
        choice = {"message": {"content": None}, "finish_reason": "length"}
        return web.json_response({"choices": [choice]})

    _, collected = ask(reply, 3)
    assert [(row.completion, row.finish_reason) for row in collected.completions] == [("", "length")] * 3
    assert collected.counts()["finish_reasons"] == {"length": 3}


def test_the_system_prompt_of_the_teacher_is_not_in_the_completion(tmp_path, ask):
    messages = (Message(role="user", content="hello"),)
    row = Prompt(id="1", split="train", messages=messages, source="rows:1")
    _, collected = ask(lambda row, times: 0.0, 0, rows=[row], prompting={"system_prompt": "Be brief."})
    assert collected.completions[0].messages == messages
    plain = ask(lambda row, times: 0.0, 0, rows=[row])[1]
    assert plain.usage["from_store"] == 0


def test_waits_grow_to_a_bound_and_obey_retry_after():
    transient, throttled = Retry("http_500", ""), Retry("http_429", "", throttled=True)
    assert 0.125 <= wait_s(1, transient) <= 0.25
    assert 1.0 <= wait_s(1, throttled) <= 2.0
    assert all(LONGEST_WAIT_S / 2 <= wait_s(tries, transient) <= LONGEST_WAIT_S for tries in (8, 40, 5000))
    assert 7.0 <= wait_s(3, Retry("http_429", "", 7.0)) <= 7.7
