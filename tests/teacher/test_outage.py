"""An endpoint that goes down in the middle of a run, and comes back, or does not."""

import asyncio
import itertools
import time

import pytest
from aiohttp import web

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import Budget
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.engine import Engine
from azdistill.teacher.requests import chat_request
from azdistill.teacher.store import ResponseStore
from tests.teacher.test_engine import Endpoint, refused

IN_FLIGHT = 8


def ask(tmp_path, prompts, configure, reply, *, longest_outage_s=60.0, **fields):
    """Settle 200 rows against an endpoint that replies as told; returns the endpoint, the engine and the outcomes."""

    async def asking():
        endpoint, settled, over = Endpoint(reply), {}, asyncio.Event()

        def settle(asked, outcome):
            settled[asked.key] = outcome
            if len(settled) == 200:
                over.set()

        async with endpoint.listening() as url:
            config: TeacherConfig = configure(url, teacher={"max_in_flight": IN_FLIGHT}, **fields)
            address, store = resolve(config.teachers[0], "endpoint", {}), ResponseStore(tmp_path / "store", "run")
            store.check_writable()
            engine = Engine(address, config, store, Budget(), settle, longest_outage_s=longest_outage_s)
            for number, row in enumerate(prompts(200)):
                engine.add(chat_request(row.messages, config, address), number)
            work = [asyncio.create_task(part) for part in (engine.run(), store.commit_forever(), over.wait())]
            try:
                done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in work:
                    task.cancel()
                await asyncio.wait(work)
                store.close()
            return endpoint, engine, settled

    return asyncio.run(asking())


def test_an_outage_is_waited_out_by_one_row_at_a_time_and_costs_no_row_its_answer(tmp_path, prompts, configure, capsys):
    began: list[float] = []
    during: list[float] = []

    def reply(row: str, times: int) -> web.Response | float:
        if row.startswith("row 50 ") and not began:
            began.append(time.monotonic())
        if began and time.monotonic() - began[0] < 2.0:
            during.append(time.monotonic())
            return refused(503)
        return 0.01

    _endpoint, engine, settled = ask(tmp_path, prompts, configure, reply, max_attempts=2)
    assert len(settled) == 200
    assert engine.tally.bought == 200, "no row was given up, although each may be tried only twice"
    assert len(during) <= 3 * max(IN_FLIGHT, 10)
    late = [moment for moment in during if moment - began[0] > 0.5]
    assert all(after - before > 0.1 for before, after in itertools.pairwise(late))
    assert "down; one row at a time asks whether it is back" in capsys.readouterr().out


def test_an_endpoint_that_stays_down_ends_the_job_and_keeps_what_was_answered(tmp_path, prompts, configure):
    answered = iter(range(1000))

    def reply(row: str, times: int) -> web.Response | float:
        return 0.0 if next(answered) < 60 else refused(502)

    with pytest.raises(EndpointError, match=r"down for 1 s; no row was charged and all that was answered is stored"):
        ask(tmp_path, prompts, configure, reply, longest_outage_s=1.0)
    stored = [line for path in (tmp_path / "store").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert len([line for line in stored if b'"yes"' in line]) == 60
