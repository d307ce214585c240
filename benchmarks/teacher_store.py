"""The response store at a million answers: how long a run that goes on takes to find its own, and in what memory;
what a commit costs.

`python -m benchmarks.teacher_store` prints a table, then one line of JSON: `resume_scan_s_1m` and `rss_mb_1m`, of a
fresh process that wants all of 1,000,000 stored answers, the files not in the page cache; `..._10k` of one that wants
10,000 of them and reads these; `commits_per_s`, rows put and made durable at zero latency; and `commit_stall_ms`, the
longest that the event loop stood still meanwhile.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from azdistill.teacher.replies import Answer
from azdistill.teacher.store import Found, ResponseStore, StoredAnswer
from azdistill.teacher.store.lines import encode

ROOT = Path(__file__).parent.parent
ROWS, WANTED, SEGMENTS = 1_000_000, 10_000, 20
WORDS = "the customer may return an item within thirty days when it is unopened and the order is at hand".split()


def key(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def stored(number: int, chance: Random) -> StoredAnswer:
    """With an answer of 400 to 600 bytes."""
    text = " ".join(chance.choices(WORDS, k=130))[: chance.randint(400, 600)]
    answer = Answer(text, "stop", chance.randint(50, 400), len(text) // 4)
    return StoredAnswer(key(number), "https://host.services.ai.azure.com/openai/v1", "DeepSeek-V3.2", answer, 0.214)


def seed(folder: Path, rows: int = ROWS) -> None:
    """A store of `rows` answers in 20 segments, synced, and out of the page cache."""
    chance, size = Random(7), rows // SEGMENTS
    for number in range(SEGMENTS):
        with (folder / f"seed-0-{number}.jsonl").open("wb") as segment:
            segment.writelines(encode(stored(row, chance)) for row in range(number * size, (number + 1) * size))
            segment.flush()
            os.fsync(segment.fileno())
            os.posix_fadvise(segment.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def resume_scan(rows: int = ROWS) -> dict[str, float]:
    """Seconds and MB of a fresh process that looks for stored answers."""
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        seed(Path(folder), rows)
        few = _in_a_fresh_process("few", folder, rows)
        everything = _in_a_fresh_process("all", folder, rows)
    return {
        "resume_scan_s_1m": everything["seconds"],
        "rss_mb_1m": everything["mb"],
        "resume_scan_s_10k": few["seconds"],
        "rss_mb_10k": few["mb"],
    }


def _in_a_fresh_process(what: str, folder: str, rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.teacher_store", what, folder, str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def look(what: str, folder: Path, rows: int) -> dict[str, float]:
    """Find all keys, or find and read few."""
    started = time.perf_counter()
    found = Found(folder, _wanted(rows, rows // WANTED if what == "few" else 1))
    answers = dict(found) if what == "few" else {}
    seconds = time.perf_counter() - started
    assert len(answers or found) == (WANTED if what == "few" else rows)
    return {"seconds": round(seconds, 2), "mb": round(_peak_mb(), 1)}


def _wanted(rows: int, step: int) -> Iterator[str]:
    return map(key, range(0, rows, step))


def _peak_mb() -> float:
    """Not ru_maxrss, which a child inherits from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def commits(rows: int = 100_000) -> dict[str, float]:
    """Answers put as fast as a loop can that lets others run after each hundred."""
    chance = Random(7)
    outcomes = [stored(number, chance) for number in range(rows)]
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        store = ResponseStore(Path(folder), "bench")
        seconds, stall = asyncio.run(_put(store, outcomes))
        store.close()
    return {"commits_per_s": round(rows / seconds), "commit_stall_ms": round(stall * 1000, 1)}


async def _put(store: ResponseStore, outcomes: list[StoredAnswer]) -> tuple[float, float]:
    durable, done = 0, asyncio.Event()

    def count() -> None:
        nonlocal durable
        durable += 1
        if durable == len(outcomes):
            done.set()

    committing = asyncio.create_task(store.commit_forever())
    started = last = time.perf_counter()
    stall = 0.0
    for number, outcome in enumerate(outcomes):
        store.put(outcome, count)
        if number % 100 == 99:
            await asyncio.sleep(0)
            now = time.perf_counter()
            stall, last = max(stall, now - last), now
    await done.wait()
    committing.cancel()
    return time.perf_counter() - started, stall


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
