"""The response store, checkpoints and single files on real mounts when processes are killed and nodes are lost."""

import json
import os
import subprocess
import sys

import pytest

from tests.workspace.mounts import ROOT

pytestmark = [pytest.mark.fuse, pytest.mark.slow]

# Arguments: folder, first key. Prints each key once it is durable.
WRITER = """
import asyncio, sys
from pathlib import Path
from azdistill.teacher.store import ResponseStore
from tests.teacher.stores import stored

async def work(store, who):
    committing, number = asyncio.create_task(store.commit_forever()), 0
    while True:
        key = f"{who}-{number}"
        store.put(stored(key, "größer " * 50), lambda key=key: print(key, flush=True))
        number += 1
        await asyncio.sleep(0.005)

folder, who = sys.argv[1:]
asyncio.run(work(ResponseStore(Path(folder), who, window_s=0.2, grow=False), who))
"""
# Prints the unreadable lines, and how many of the keys in standard input the store has, for each line of keys.
READER = """
import json, sys
from pathlib import Path
from azdistill.teacher.store import StoreIndex
index = None
for line in sys.stdin:
    keys = json.loads(line)
    if index is None or keys == "again":
        index = StoreIndex(Path(sys.argv[1]))
    if keys != "again":
        print(json.dumps([index.unreadable, [key for key in keys if index.get(key)]]), flush=True)
"""
COMPACT = """
import sys
from pathlib import Path
from azdistill.teacher.store.compaction import compact
done = compact(Path(sys.argv[1]))
print(done.now, done.kept, done.unreadable)
"""
# A file that is synced and open, one that is closed, and one that is renamed.
LEAVE = """
import os, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
(folder / "closed").write_text("closed")
(folder / "a").write_text("renamed")
(folder / "a").rename(folder / "renamed")
stream = (folder / "synced").open("wb", 0)
stream.write(b"synced")
os.fsync(stream.fileno())
print("ready", flush=True)
time.sleep(60)
"""


INDEXED_WHILE_WRITTEN = 60


@pytest.fixture
def start(node):
    """Start a Python program on the node; it is killed at the end of the test."""
    started = []

    def start_program(program, *arguments):
        process = subprocess.Popen(
            node.command(sys.executable, "-c", program, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.kill()
        process.communicate()


class Reader:
    """A process that holds an index of the store, on a separate mount."""

    def __init__(self, process):
        self._process = process

    def find(self, keys):
        self._send(keys)
        return json.loads(self._process.stdout.readline())

    def index_again(self):
        self._send("again")

    def _send(self, value):
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()


def durable_keys(writer, lose):
    """The keys that a writer printed. `lose` is called once it has printed those of several windows; then it is
    killed."""
    keys = [writer.stdout.readline().strip() for _ in range(60)]
    lose()
    writer.kill()
    return keys + writer.communicate()[0].split()


@pytest.mark.parametrize("lost", ["process", "node"])
def test_durable_answers_of_a_killed_rank_are_complete_on_every_other_mount(start, rw_mount, blobs, lost):
    mount, other = rw_mount(f"killed-{lost}"), rw_mount(f"killed-{lost}")
    writer = start(WRITER, mount.path, "first")
    early = Reader(start(READER, other.path))
    for _ in range(INDEXED_WHILE_WRITTEN):  # so that this mount opens what it can see
        early.index_again()
    durable = durable_keys(writer, mount.kill if lost == "node" else writer.kill)
    later = Reader(start(READER, rw_mount(f"killed-{lost}").path))
    assert later.find(durable) == [0, durable]
    early.index_again()
    assert early.find(durable) == [0, durable]
    segments = blobs(f"killed-{lost}")
    assert all(content.endswith(b"\n") for name, content in segments.items() if name.endswith(".jsonl"))


def test_a_reader_finds_its_answers_after_another_node_has_compacted_the_store(start, rw_mount):
    writer = start(WRITER, rw_mount("compacted").path, "first")
    durable = durable_keys(writer, writer.kill)
    reader = Reader(start(READER, rw_mount("compacted").path))
    assert reader.find(durable[:1]) == [0, durable[:1]]
    segments, kept, unreadable = map(int, start(COMPACT, rw_mount("compacted").path).communicate()[0].split())
    assert (segments, unreadable) == (1, 0)
    assert kept >= len(durable)
    assert reader.find(durable) == [0, durable]


def test_a_lost_node_leaves_files_that_were_closed_and_empties_those_that_were_open(start, rw_mount, blobs):
    """fsync is not enough on a mount."""
    mount = rw_mount("lost")
    assert start(LEAVE, mount.path).stdout.readline() == "ready\n"
    mount.kill()
    assert blobs("lost") == {"closed": b"closed", "renamed": b"renamed", "synced": b""}
