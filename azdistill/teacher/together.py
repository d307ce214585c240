"""One job asked by several ranks: each buys its keys, rank 0 reads what all of them stored and has the rows."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.collect import Collected, Part, allowed_rejects, ask, check_rejects, gathered
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.meeting import CONTINUE, Meeting, meeting_folder
from azdistill.teacher.rank import Rank
from azdistill.teacher.replies import Refusal
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.turns import Row, advance, rows_of

MOST_LATE_S = 120.0
"""A mount may show a file so long after it was closed on another node."""
LOOK_AGAIN_S = 5.0


def meet(
    prompts: Sequence[Prompt], config: TeacherConfig, endpoint: Endpoint, store: ResponseStore, rank: Rank, job: str
) -> Meeting:
    """Where this rank hears of the others; `job` is a name that the ranks of one job share."""
    keys = (row.question.key for row in rows_of(prompts, config, endpoint))
    folder = meeting_folder(store.folder, job, rank.world, keys)
    return Meeting(folder, rank, look_s=store.window_s) if store.window_s > 1 else Meeting(folder, rank)


async def collect_together(
    prompts: Sequence[Prompt], config: TeacherConfig, endpoint: Endpoint, store: ResponseStore, meeting: Meeting
) -> Collected | None:
    """Ask what falls to this rank. Rank 0 gets the rows of all, byte by byte those of one process, once the others
    are done; they get None once rank 0 is.

    Raises what `collect` does, and AzdistillError when another rank failed or fell silent.
    """
    rows, rank = rows_of(prompts, config, endpoint), meeting.rank
    mine = [row for row in rows if rank.takes(row.question.key)]
    part = await ask(mine, len(rows), config, endpoint, store, meeting)
    own = gathered(mine, part, config, endpoint)
    if rank.leads and len(own.rejects) > allowed_rejects(len(rows), config):
        return own  # to be written, with the reasons; the others need not be waited for
    check_rejects(own, len(rows), config)
    left = {"counts": part.counts, "refused": {key: [end.reason, end.detail] for key, end in part.refused.items()}}
    if not rank.leads:
        await meeting.finish(left)
        return None
    whole = await _joined(rows_of(prompts, config, endpoint), [left, *await meeting.others()], store)
    return gathered(*whole, config, endpoint)


async def _joined(
    rows: Sequence[Row], parts: Sequence[Mapping[str, Any]], store: ResponseStore
) -> tuple[Sequence[Row], Part]:
    """Take each row to its end: by the store, and by the refusals that it does not keep, which are told."""
    refused = {key: Refusal(*told) for part in parts for key, told in part["refused"].items()}
    counts = reduce(_added, (part["counts"] for part in parts))
    latencies: dict[str, float] = {}
    for _ in range(round(MOST_LATE_S / LOOK_AGAIN_S)):
        records = await asyncio.to_thread(advance, [row for row in rows if row.end is None], store)
        latencies |= {record.key: record.latency_s for record in records if record.latency_s is not None}
        for row in rows:
            if row.end is None and row.question.key in refused:
                row.hear(refused[row.question.key])
        if all(row.end for row in rows):
            return rows, Part(refused, counts, list(latencies.values()))
        await asyncio.sleep(LOOK_AGAIN_S)
    raise AzdistillError(
        f"store {str(store.folder)!r}: the answers to {sum(row.end is None for row in rows)} rows of other ranks are "
        f"not in it; give all nodes one store, mounted (rw_mount); {CONTINUE}"
    )


def _added(one: Any, other: Any) -> Any:
    """Counts of two ranks in one, at every depth; a reason that only one of them met is there as well."""
    if not isinstance(one, Mapping):
        return one + other
    both = {key: _added(one[key], other[key]) for key in one if key in other}
    return {**one, **other, **both}
