"""Any reply: a job over real HTTP settles every row, or ends with one sentence, and keeps every answer."""

import asyncio
import gzip
import tempfile
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azdistill.contracts.errors import AzdistillError
from azdistill.teacher.budget import BudgetReached
from azdistill.teacher.collect import collect
from azdistill.teacher.distributed import first_keys
from azdistill.teacher.endpoint import resolve_all
from azdistill.teacher.store import ResponseStore
from tests.teacher.generated_replies import FATAL, WITHOUT_WAIT, GeneratedEndpoint, GeneratedReply, encoded, generate

ANSWER = encoded(b'{"choices": [{"message": {"content": "yes, of course"}, "finish_reason": "stop"}]}', "identity")


@pytest.fixture
def ask(prompts, configure):
    """Collect rows from an endpoint with the given replies; returns the endpoint, the rows in the store, and the
    result or the error."""

    def run(reply, count, **fields):
        async def asking(folder):
            endpoint, rows = GeneratedEndpoint(reply), prompts(count)
            async with endpoint.listening() as url:
                config = configure(url, **{"max_reject_ratio": 1.0, "max_attempts": 1, **fields})
                endpoints = resolve_all(config, {})
                try:
                    result = await collect(rows, config, endpoints, ResponseStore(folder, "run"))
                except AzdistillError as error:
                    result = error
            index, keys = ResponseStore(folder, "later").index(), first_keys(rows, config, endpoints)
            stored = {row.messages[0].content for row, key in zip(rows, keys, strict=True) if key in index}
            return endpoint, stored, result

        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(asking(Path(folder)))

    return run


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**32), min_size=20, max_size=60, unique=True))
def test_any_replies_settle_every_row_and_lose_no_answer(ask, seeds):
    def reply(row, _):
        return generate(Random(seeds[int(row.split()[1])]), refused=WITHOUT_WAIT)

    endpoint, stored, collected = ask(reply, len(seeds), teacher={"requests_per_minute": 600_000})
    assert len(collected.completions) + len(collected.rejects) == len(seeds)
    assert endpoint.answered <= stored
    assert len(collected.completions) >= len(endpoint.answered)


@pytest.mark.parametrize("status", FATAL)
def test_a_reply_that_refuses_every_row_ends_the_job_with_one_sentence(ask, status):
    last = GeneratedReply(f"HTTP/1.1 {status} \xff\r\nLocation: \xff\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))

    def reply(row, _):
        return replace(last, delay_s=0.1) if row.startswith("row 7 ") else GeneratedReply(ANSWER, is_answer=True)

    endpoint, stored, error = ask(reply, 10)
    assert isinstance(error, AzdistillError)
    assert str(error).strip().isprintable()
    assert endpoint.answered == stored
    assert len(stored) == 9


def test_a_reply_that_is_far_too_long_takes_no_memory_and_counts_against_the_budget(ask):
    """A gzip body of 1.5 MB that has 1.5 GB."""
    compressor = zlib.compressobj(wbits=31)
    begin = compressor.compress(b"{") + compressor.flush(zlib.Z_FULL_FLUSH)
    blank = compressor.compress(bytes(10**7)) + compressor.flush(zlib.Z_FULL_FLUSH)
    bomb = GeneratedReply(encoded(begin + blank * 150, "gzip"))
    tracemalloc.start()
    _, _, collected = ask(lambda row, _: bomb, 2, teacher={"input_price": 1.0, "output_price": 1e6}, budget=1500.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(collected, BudgetReached), "1,024 tokens of the first row may have been billed"
    assert peak < 30 * 2**20


@pytest.mark.parametrize("length", [5, 20, 40, 60])
def test_a_cut_gzip_body_is_retried_and_one_that_lacks_its_checksum_is_kept(ask, length):
    body = gzip.compress(ANSWER.partition(b"\r\n\r\n")[2])
    first = GeneratedReply(encoded(body[:length], "gzip"))
    _, _, collected = ask(lambda row, tries: first if tries == 1 else GeneratedReply(ANSWER), 1, max_attempts=2)
    assert len(collected.completions) == 1
    assert collected.usage["retries"] == {"cut_reply": 1}
    _, _, collected = ask(lambda row, _: GeneratedReply(encoded(body[:-8], "gzip")), 1)
    assert len(collected.completions) == 1
