"""Benchmark the response store: time and memory to index a million answers when a run continues, and commits.

`python -m benchmarks.teacher_store` prints a table, then one line of JSON: `resume_scan_s_1m` and `rss_mb_1m` of a
new process that looks up all of 1,000,000 stored answers, with the files not in the page cache; `..._10k` of one that
looks up and reads 10,000 of them; `commits_per_s`, rows put and made durable at zero latency; and `turn_p50_ms` and
`turn_p99_ms`, the duration of an event loop iteration in which a hundred rows are put.
"""

import asyncio
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from azdistill.teacher.replies import Answer
from azdistill.teacher.store import ResponseStore, StoredAnswer, StoreIndex
from azdistill.teacher.store.records import encode

ROOT = Path(__file__).parent.parent
ROWS, WANTED, SEGMENTS = 1_000_000, 10_000, 20
WORDS = "the customer may return an item within thirty days when it is unopened and the order is at hand".split()


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def stored(number: int, rng: Random) -> StoredAnswer:
    """A record with an answer of 400 to 600 bytes."""
    text = " ".join(rng.choices(WORDS, k=130))[: rng.randint(400, 600)]
    answer = Answer(text, "stop", rng.randint(50, 400), len(text) // 4)
    return StoredAnswer(key(number), "https://host.services.ai.azure.com/openai/v1", "DeepSeek-V3.2", answer, 0.214)


def seed(folder: Path, rows: int = ROWS) -> None:
    """Write a store of `rows` answers in 20 segments, synced, and not in the page cache."""
    rng, size = Random(7), rows // SEGMENTS
    for number in range(SEGMENTS):
        with (folder / f"seed-0-{number}.jsonl").open("wb") as segment:
            segment.writelines(encode(stored(row, rng)) for row in range(number * size, (number + 1) * size))
            segment.flush()
            os.fsync(segment.fileno())
            os.posix_fadvise(segment.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resume_scan(rows: int = ROWS) -> dict[str, float]:
    """Seconds and MB of a fresh process that looks for stored answers."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as folder:
        seed(Path(folder), rows)
        few = _in_a_fresh_process("few", folder, rows)
        everything = _in_a_fresh_process("all", folder, rows)
    return {
        "resume_scan_s_1m": everything["seconds"],
        "resume_scan_cpu_s_1m": everything["cpu_s"],
        "rss_mb_1m": everything["mb"],
        "resume_scan_s_10k": few["seconds"],
        "resume_scan_cpu_s_10k": few["cpu_s"],
        "rss_mb_10k": few["mb"],
    }


def _in_a_fresh_process(what: str, folder: str, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.teacher_store", what, folder, str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def look(what: str, folder: Path, rows: int) -> dict[str, float]:
    """Index a store, then find all keys, or find and read few. Keys are made and looked up by the thousand, as a run
    renders its requests one by one."""
    clock = _Clock()
    with clock:
        index = StoreIndex(folder)
    numbers = range(0, rows, rows // WANTED if what == "few" else 1)
    hits = 0
    for start in range(0, len(numbers), 1000):
        keys = [key(number) for number in numbers[start : start + 1000]]
        with clock:
            hits += sum(name in index if what == "all" else index.get(name) is not None for name in keys)
    assert hits == len(numbers)
    return {"seconds": round(clock.seconds, 2), "cpu_s": round(clock.cpu_s, 2), "mb": round(_peak_mb(), 1)}


class _Clock:
    """Adds up the seconds of its blocks."""

    seconds = cpu_s = 0.0

    def __enter__(self) -> None:
        self._started, self._used = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self._started
        self.cpu_s += time.process_time() - self._used


def _peak_mb() -> float:
    """Not ru_maxrss, which a child inherits from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def commits(rows: int = 100_000) -> dict[str, float]:
    """Answers put as fast as a loop can that lets others run after each hundred, as an endpoint without latency
    would make it."""
    rng = Random(7)
    outcomes = [stored(number, rng) for number in range(rows)]
    with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as folder:
        store = ResponseStore(Path(folder), "bench")
        seconds, turns = asyncio.run(_put(store, outcomes))
        store.close()
    return {
        "commits_per_s": round(rows / seconds),
        "turn_p50_ms": round(statistics.median(turns) * 1000, 2),
        "turn_p99_ms": round(sorted(turns)[len(turns) * 99 // 100] * 1000, 2),
    }


async def _put(store: ResponseStore, outcomes: list[StoredAnswer]) -> tuple[float, list[float]]:
    """Seconds until all is durable, and those of each turn of the loop."""
    left, done = len(outcomes), asyncio.Event()

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    committing = asyncio.create_task(store.commit_forever())
    times = [time.perf_counter()]
    for number, outcome in enumerate(outcomes):
        store.put(outcome, count)
        if number % 100 == 99:
            await asyncio.sleep(0)
            times.append(time.perf_counter())
    await done.wait()
    committing.cancel()
    return time.perf_counter() - times[0], [after - before for before, after in pairwise(times)]


def main() -> None:
    figures: dict[str, Any] = resume_scan() | commits()
    for name, value in figures.items():
        print(f"{name:<20} {value:>12,}")
    print(json.dumps(figures))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(look(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
