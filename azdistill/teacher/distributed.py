"""One job asked by several ranks: each buys its keys, rank 0 reads what all of them stored and has the rows."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.capabilities import detect_logprobs
from azdistill.teacher.collect import Collected, Part, allowed_rejects, ask, check_rejects, courses_of, gathered
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.outcomes import advance
from azdistill.teacher.policy import Course
from azdistill.teacher.rank import Rank
from azdistill.teacher.rank_barrier import CONTINUE, RankBarrier, meeting_folder
from azdistill.teacher.replies import RowRejected
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.usage import added

MOST_LATE_S = 120.0
"""A mount may show a file so long after it was closed on another node."""
LOOK_AGAIN_S = 5.0


def meet(courses: Sequence[Course], store: ResponseStore, rank: Rank, job: str) -> RankBarrier:
    """Where this rank hears of the others; `job` is a name that the ranks of one job share."""
    keys = (talk.question.key for course in courses for talk in course.talks)
    folder = meeting_folder(store.folder, job, rank.world, keys)
    return RankBarrier(folder, rank, look_s=store.window_s) if store.window_s > 1 else RankBarrier(folder, rank)


async def collect_together(
    prompts: Sequence[Prompt],
    config: TeacherConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    meeting: RankBarrier,
    task_file: Path | None = None,
) -> Collected | None:
    """Ask what falls to this rank. Rank 0 gets the rows of all, byte by byte those of one process, once the others
    are done; they get None once rank 0 is.

    Raises what `collect` does, and AzdistillError when another rank failed or fell silent.
    """
    rank = meeting.rank
    found = await detect_logprobs(endpoints, config, store, rank.budget(config))
    mine = [course for course in courses_of(prompts, config, found.endpoints, task_file) if falls_to(rank, course)]
    part = await ask(mine, len(prompts), config, found, store, meeting)
    own = gathered(mine, part, config)
    if rank.leads and own.unanswered > allowed_rejects(len(prompts), config):
        return own  # to be written, with the reasons; the others need not be waited for
    check_rejects(own, len(prompts), config)
    left = {"counts": part.counts, "refused": {key: [end.reason, end.detail] for key, end in part.refused.items()}}
    if not rank.leads:
        await meeting.finish(left)
        return None
    courses = courses_of(prompts, config, found.endpoints, task_file)
    return gathered(courses, await _joined(courses, [left, *await meeting.others()], store), config)


def falls_to(rank: Rank, course: Course) -> bool:
    """By the first question of a prompt: prompts that begin alike are asked by one rank, and once."""
    return rank.takes(course.talks[0].question.key)


async def _joined(courses: Sequence[Course], parts: Sequence[Mapping[str, Any]], store: ResponseStore) -> Part:
    """Take each course to its end: by the store, and by the refusals that it does not keep, which are told."""
    refused = {key: RowRejected(*told) for part in parts for key, told in part["refused"].items()}
    counts = reduce(added, (part["counts"] for part in parts))
    latencies: dict[str, float] = {}
    for _ in range(round(MOST_LATE_S / LOOK_AGAIN_S)):
        records = await asyncio.to_thread(advance, courses, store, refused)
        latencies |= {record.key: record.latency_s for _, record in records if record.latency_s is not None}
        if all(course.is_over for course in courses):
            return Part(refused, counts, list(latencies.values()))
        await asyncio.sleep(LOOK_AGAIN_S)
    raise AzdistillError(
        f"store {str(store.folder)!r}: the answers to {sum(not course.is_over for course in courses)} prompts of other "
        f"ranks are not in it; give all nodes one store, mounted (rw_mount); {CONTINUE}"
    )
