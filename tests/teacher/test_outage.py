"""An endpoint that goes down in the middle of a run, and comes back, or does not."""

import asyncio
import itertools
import logging
import time

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.budget import Budget
from azdistill.teacher.dispatcher import Dispatcher
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.store import ResponseStore
from tests.teacher.test_client import Endpoint, refused

IN_FLIGHT = 8


def ask(tmp_path, prompts, configure, reply, *, longest_outage_s=60.0, **fields):
    """Ask 200 rows of an endpoint that replies as `reply` says; returns the endpoint, the client and the results."""

    async def asking():
        endpoint, store = Endpoint(reply), ResponseStore(tmp_path / "store", "run")
        async with endpoint.listening() as url:
            config: TeacherConfig = configure(url, teacher={"max_in_flight": IN_FLIGHT}, **fields)
            address, answers = resolve(config.teachers[0], "endpoint", {}), JobAnswers(config, store.index(), Budget())
            dispatcher = Dispatcher(prompts(200), config, [address], store, answers, allowed_rejects=0)
            [client] = dispatcher.clients
            client.outage.longest_s = longest_outage_s
            await dispatcher.run()
            return endpoint, client, dispatcher.results

    return asyncio.run(asking())


def test_an_outage_is_waited_out_by_one_row_at_a_time_and_costs_no_row_its_answer(tmp_path, prompts, configure, caplog):
    caplog.set_level(logging.INFO, "azdistill")
    began: list[float] = []
    during: list[float] = []

    def reply(row: str, times: int) -> web.Response | float:
        if row.startswith("row 50 ") and not began:
            began.append(time.monotonic())
        if began and time.monotonic() - began[0] < 2.0:
            during.append(time.monotonic())
            return refused(503)
        return 0.01

    _endpoint, client, results = ask(tmp_path, prompts, configure, reply, max_attempts=2)
    assert None not in results
    assert client.usage.bought == 200, "no row was given up, although each may be tried only twice"
    assert len(during) <= 3 * max(IN_FLIGHT, 10)
    late = [moment for moment in during if moment - began[0] > 0.5]
    assert all(after - before > 0.1 for before, after in itertools.pairwise(late))
    assert "down; one row at a time is sent to probe whether it is back" in caplog.text


def test_an_endpoint_that_stays_down_ends_the_job_and_keeps_what_was_answered(tmp_path, prompts, configure):
    answered = iter(range(1000))

    def reply(row: str, times: int) -> web.Response | float:
        return 0.0 if next(answered) < 60 else refused(502)

    with pytest.raises(EndpointError, match=r"down for 1 s; no row was charged, and all answers are stored"):
        ask(tmp_path, prompts, configure, reply, longest_outage_s=1.0)
    stored = [line for path in (tmp_path / "store").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert len([line for line in stored if b'"yes"' in line]) == 60
