"""Jobs whose endpoint sends generated replies, correct and not, over loopback HTTP.

`python -m benchmarks.robust_replies` prints one line of JSON: `replies` that were sent, `replies_jobs_ended` (jobs that
ended by an exception other than AzdistillError with one sentence) and `replies_rows_lost` (rows with a complete answer
that is neither in the store nor in the output). The replies are those of tests/teacher/generated_replies.py, drawn by
row and try from one seed.
"""

import asyncio
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.requests import Teacher
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.collect import collect
from azdistill.teacher.distributed import first_keys
from azdistill.teacher.endpoint import resolve_all
from azdistill.teacher.event_loop import run
from azdistill.teacher.store import ResponseStore
from tests.teacher.generated_replies import REFUSED, WITHOUT_WAIT, GeneratedEndpoint, GeneratedReply, generate

SEED, REPLIES, ROWS, AT_A_TIME = 17, 10_000, 250, 8
# Every second job gets a reply that refuses every row, with this probability.
FATAL = 0.01


def robust_replies() -> dict[str, int]:
    """Run jobs until so many replies were sent."""
    logging.getLogger("azdistill").setLevel(logging.ERROR)
    figures, numbers = Counter(replies=0, replies_jobs_ended=0, replies_rows_lost=0), count()
    with tempfile.TemporaryDirectory() as folder:
        while figures["replies"] < REPLIES:
            for job in run(_jobs(Path(folder), [next(numbers) for _ in range(AT_A_TIME)])):
                figures.update(job)
    return dict(figures)


async def _jobs(folder: Path, numbers: Sequence[int]) -> list[dict[str, int]]:
    return await asyncio.gather(*(_job(folder / str(number), number) for number in numbers))


async def _job(folder: Path, number: int) -> dict[str, int]:
    """Run one job; returns its part of the figures."""

    def reply(row: str, tries: int) -> GeneratedReply:
        refused = REFUSED if tries == 1 else WITHOUT_WAIT
        return generate(Random(f"{SEED} {number} {row} {tries}"), refused=refused, fatal=FATAL * (number % 2))

    prompts, endpoint, rows = [_prompt(row) for row in range(ROWS)], GeneratedEndpoint(reply), set[str]()
    ended_by: Exception | None = None
    async with endpoint.listening() as url:
        teacher = Teacher(model="m", endpoint=url, input_price=1.0, output_price=1.0)
        config = TeacherConfig(teachers=(teacher,), max_attempts=3, timeout_s=10.0, max_reject_ratio=1.0)
        endpoints = resolve_all(config, {})
        try:
            collected = await collect(prompts, config, endpoints, ResponseStore(folder, "run"))
            rows = {row.id for row in collected.completions}
        except Exception as error:
            ended_by = error
    index = ResponseStore(folder, "later").index()
    keys = first_keys(prompts, config, endpoints)
    kept = {row.messages[0].content for row, key in zip(prompts, keys, strict=True) if row.id in rows or key in index}
    return {
        "replies": endpoint.sent,
        "replies_jobs_ended": int(ended_by is not None and not _is_sentence(ended_by)),
        "replies_rows_lost": len(endpoint.answered - kept),
    }


def _is_sentence(error: Exception) -> bool:
    return isinstance(error, AzdistillError) and bool(str(error).strip()) and "\n" not in str(error)


def _prompt(number: int) -> Prompt:
    messages = (Message(role="user", content=f"row {number} wants an answer"),)
    return Prompt(id=prompt_id(messages), split="train", messages=messages, source=f"rows:{number + 1}")


if __name__ == "__main__":
    print(json.dumps(robust_replies()))
