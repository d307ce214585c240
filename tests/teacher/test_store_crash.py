"""A process that is killed while it writes: all answers that it reported as durable are complete on disk."""

import random
import subprocess
import sys
import time

import pytest

from tests.teacher.stores import find, segments, stored

WRITER = """
import asyncio, sys
from pathlib import Path
from azdistill.teacher.store import ResponseStore
from tests.teacher.stores import stored

async def work(store):
    tasks = [asyncio.create_task(store.commit_forever())]
    number = 0
    while True:
        key = f"{sys.argv[2]}-{number}"
        store.put(stored(key, "größer " * 100), lambda key=key: print(key, flush=True))
        number += 1
        await asyncio.sleep(0.0005)

asyncio.run(work(ResponseStore(Path(sys.argv[1]), sys.argv[2])))
"""


def start_writer(folder, who: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", WRITER, str(folder), who]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(5))
def test_two_writers_killed_at_random_lose_no_durable_answer(tmp_path, seed):
    writers = [start_writer(tmp_path, who) for who in ("first", "second")]
    rng = random.Random(seed)
    durable = []
    for writer in writers:
        assert writer.stdout
        durable.append(writer.stdout.readline().strip())
        time.sleep(rng.uniform(0, 0.2))
        writer.kill()
        durable += writer.communicate()[0].split()
    outcomes = find(tmp_path, durable)
    assert set(outcomes) == set(durable)
    assert all(outcomes[key] == stored(key, "größer " * 100).outcome for key in durable)
    assert outcomes.unreadable <= 2  # the last line of each writer
    assert segments(tmp_path) == ["first-0-0.jsonl", "second-0-0.jsonl"]


def test_a_reader_gets_only_complete_records_while_another_process_writes(tmp_path):
    with start_writer(tmp_path, "writer") as writer:
        assert writer.stdout
        writer.stdout.readline()
        counts, end = [], time.monotonic() + 30
        while len(set(counts)) < 10 and time.monotonic() < end:
            outcomes = find(tmp_path, (f"writer-{number}" for number in range(5000)))
            assert outcomes.unreadable == 0
            assert list(outcomes) == [f"writer-{number}" for number in range(len(outcomes))]
            counts.append(len(outcomes))
        writer.kill()
    assert counts == sorted(counts)
    assert len(set(counts)) == 10
