"""One job asked by several ranks: each buys the answers of its prompts, rank 0 reads all of them and has the rows."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import Prompt
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.budget import Budget
from azdistill.teacher.capabilities import detect_logprobs
from azdistill.teacher.collect import (
    AskedPrompts,
    Collected,
    allowed_rejects,
    ask_prompts,
    check_rejects,
    load_task,
    to_rows,
)
from azdistill.teacher.conversation import Converser
from azdistill.teacher.dispatcher import NOT_STORED, answer_from_store
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.policies import Router, first_teachers
from azdistill.teacher.rank import Rank
from azdistill.teacher.rank_barrier import CONTINUE, RankBarrier, barrier_folder
from azdistill.teacher.replies import Outcome, RowRejected
from azdistill.teacher.requests import Request
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.usage import add_counts

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

# Longest time until a mount shows a file that was closed on another node.
LONGEST_DELAY_S = 120.0
RESCAN_EVERY_S = 5.0


def open_barrier(
    prompts: Sequence[Prompt],
    config: RequestConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    rank: Rank,
    job: str,
) -> RankBarrier:
    """The barrier between the ranks of one job; `job` is a name that they share."""
    folder = barrier_folder(store.folder, job, rank.world, first_keys(prompts, config, endpoints))
    return RankBarrier(folder, rank, poll_s=store.window_s) if store.window_s > 1 else RankBarrier(folder, rank)


async def collect_together(
    prompts: Sequence[Prompt],
    config: RequestConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    barrier: RankBarrier,
    task_file: Path | None = None,
) -> Collected | None:
    """Answer the prompts of this rank. Rank 0 waits for the other ranks and returns the rows of all, which are
    identical to those of a run in one process. The other ranks wait for rank 0 and return None.

    Raises what `collect` does, and AzdistillError when another rank failed or is silent.
    """
    rank, index, task = barrier.rank, store.index(), load_task(config, task_file)
    capabilities = await detect_logprobs(endpoints, config, store, index, rank.budget(config))
    # Prompts with the same first request go to one rank, which sends it once.
    keys = first_keys(prompts, config, capabilities.endpoints)
    own_prompts = [prompt for prompt, key in zip(prompts, keys, strict=True) if rank.takes(key)]
    results = await ask_prompts(own_prompts, len(prompts), config, capabilities, store, index, task, barrier)
    collected = to_rows(results, config)
    if rank.leads and collected.unanswered > allowed_rejects(len(prompts), config):
        return collected  # written with the reasons, without waiting for the other ranks
    check_rejects(collected, len(prompts), config)
    rejected = {key: [outcome.reason, outcome.detail] for key, outcome in results.rejected.items()}
    report = {"counts": results.counts, "rejected": rejected}
    if not rank.leads:
        await barrier.finish(report)
        return None
    reports = [report, *await barrier.reports()]
    return to_rows(await _join(prompts, config, capabilities.endpoints, store, task, reports), config)


def first_keys(prompts: Sequence[Prompt], config: RequestConfig, endpoints: Sequence[Endpoint]) -> list[str]:
    """The store key of each prompt's first request."""
    converser = Converser(config, endpoints, _not_stored)
    return [converser.first_request(prompt, first_teachers(prompt, config)[0]).key for prompt in prompts]


async def _not_stored(teacher: int, request: Request, number: int) -> Outcome:
    return NOT_STORED


async def _join(
    prompts: Sequence[Prompt],
    config: RequestConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    task: "Task | None",
    reports: Sequence[Mapping[str, Any]],
) -> AskedPrompts:
    """Answer all prompts from the store, and by the rejections that it does not hold, which the ranks report."""
    rejected = {key: RowRejected(*reason) for report in reports for key, reason in report["rejected"].items()}
    counts = reduce(add_counts, (report["counts"] for report in reports))
    router = Router(config, endpoints, _not_stored, task)
    unanswered = 0
    for _ in range(round(LONGEST_DELAY_S / RESCAN_EVERY_S)):
        answers = JobAnswers(config, await asyncio.to_thread(store.index), Budget())
        answers.outcomes.update(rejected)
        results = await answer_from_store(prompts, router, answers)
        unanswered = results.count(None)
        if not unanswered:
            return AskedPrompts(results, rejected, counts, answers.stored_latencies_s, answers.budget.spent)
        await asyncio.sleep(RESCAN_EVERY_S)
    raise AzdistillError(
        f"store {str(store.folder)!r}: it lacks the answers to {unanswered} prompts of other ranks",
        fix=f"mount one store on all nodes (rw_mount); {CONTINUE}",
    )
