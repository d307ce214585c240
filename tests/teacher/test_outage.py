"""An endpoint that goes down probes a run, temporarily or permanently."""

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
    """Send 200 rows to an endpoint with the given replies; returns the endpoint, the client and the results."""

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


def test_an_outage_is_probed_by_one_row_at_a_time_and_rejects_no_row(tmp_path, prompts, configure, caplog):
    caplog.set_level(logging.INFO, "azdistill")
    down_since: list[float] = []
    probes: list[float] = []

    def reply(row: str, times: int) -> web.Response | float:
        if row.startswith("row 50 ") and not down_since:
            down_since.append(time.monotonic())
        if down_since and time.monotonic() - down_since[0] < 2.0:
            probes.append(time.monotonic())
            return refused(503)
        return 0.01

    _endpoint, client, results = ask(tmp_path, prompts, configure, reply, max_attempts=2)
    assert None not in results
    assert client.usage.bought == 200, "no row was rejected, although max_attempts is 2"
    # Of 200 rows: those that fail until ten in a row have failed, those in flight then, and the probes.
    assert len(probes) <= 60
    late = [moment for moment in probes if moment - down_since[0] > 0.5]
    assert all(after - before > 0.1 for before, after in itertools.pairwise(late))
    assert "down; one row at a time is sent to probe whether it is back" in caplog.text


def test_an_endpoint_that_stays_down_ends_the_job_and_answers_are_stored(tmp_path, prompts, configure):
    answered = iter(range(1000))

    def reply(row: str, times: int) -> web.Response | float:
        return 0.0 if next(answered) < 60 else refused(502)

    with pytest.raises(EndpointError, match=r"down for 1 s; no row was charged, and all answers are stored"):
        ask(tmp_path, prompts, configure, reply, longest_outage_s=1.0)
    stored = [line for path in (tmp_path / "store").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert len([line for line in stored if b'"yes"' in line]) == 60
