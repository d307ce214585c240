"""`python -m azdistill.steps.teacher`: answer every prompt, and buy each answer once."""

import gc
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.layout import CALLS_FILE, COMPLETIONS_FILE, PROMPTS_FILE, REJECTS_FILE, USAGE_FILE
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.teacher import STEP, TeacherConfig
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.teacher.collect import Collected
    from azdistill.teacher.rank import Rank

logger = logging.getLogger("azdistill.steps")

# New objects between two garbage collections. Each one traverses thousands of live coroutines: with Python's default of
# 700, collections take a fifth of the step's CPU time.
GC_THRESHOLD = 20_000


def body(arguments: Arguments[TeacherConfig]) -> None:
    """Write completions.jsonl, rejects.jsonl and usage.json. Rejects are written even if there are too many."""
    from azdistill.teacher.rank import rank_of

    rank, prompts = rank_of(os.environ), _prompts(arguments)
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
    if rank.leads:
        open_folder(arguments.outputs["completions"])
    if arguments.config.teacher_route == "completions":
        if rank.leads:  # importing completions is work for one process
            _write(_imported(prompts, arguments), len(prompts), arguments)
    elif rank.world == 1:
        _write(_ask(prompts, arguments), len(prompts), arguments)
    else:
        _ask_as_rank(prompts, arguments, rank)


def _write(collected: "Collected", prompts: int, arguments: Arguments[TeacherConfig]) -> None:
    from azdistill.teacher.collect import check_rejects

    folder = arguments.outputs["completions"]
    write_rows(folder / REJECTS_FILE, collected.rejects)
    check_rejects(collected, prompts, arguments.config)
    write_rows(folder / COMPLETIONS_FILE, collected.completions)
    write_rows(folder / CALLS_FILE, collected.calls)
    write_json(folder / USAGE_FILE, {**collected.usage, **_write_logprobs(collected, arguments)})
    close_folder(folder, STEP.name, collected.counts(), provenance_of(arguments.config))
    logger.info(
        "%d answers to %d prompts, %d rejected; the store had the results of %d prompts",
        len(collected.completions),
        prompts,
        len(collected.rejects),
        collected.usage["from_store"],
    )


def _write_logprobs(collected: "Collected", arguments: Arguments[TeacherConfig]) -> dict[str, Any]:
    """Write the log probabilities of the completions from the store, if the job asks for them."""
    config = arguments.config
    if not config.top_logprobs or config.teacher_route == "completions":
        return {}
    from azdistill.teacher.logprobs import write_logprobs
    from azdistill.teacher.replies import Answer
    from azdistill.teacher.store import open_store

    index = open_store(arguments.outputs["store"]).index()
    stored = (index.get(row.key) for row in collected.completions)
    answers = ((record.key, record.outcome) for record in stored if record and isinstance(record.outcome, Answer))
    return {"logprobs": write_logprobs(arguments.outputs["completions"], answers, config.top_logprobs)}


def _ask(prompts: list[Prompt], arguments: Arguments[TeacherConfig]) -> "Collected":
    from azdistill.teacher.collect import collect
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config, store = arguments.config, open_store(arguments.outputs["store"])
    endpoints = resolve_all(config, simulation=arguments.inputs.get("simulation"))
    return run(collect(prompts, config, endpoints, store, arguments.inputs.get("task_file")))


def _ask_as_rank(prompts: list[Prompt], arguments: Arguments[TeacherConfig], rank: "Rank") -> None:
    """Ask as one of several processes. Rank 0 writes, and the others succeed only when it has."""
    from azdistill.teacher.distributed import collect_together, open_barrier
    from azdistill.teacher.endpoint import resolve_all
    from azdistill.teacher.event_loop import run
    from azdistill.teacher.store import open_store

    config, task_file = arguments.config, arguments.inputs.get("task_file")
    store = open_store(arguments.outputs["store"])
    endpoints = resolve_all(config, simulation=arguments.inputs.get("simulation"))
    job = azure_ml_job() or str(arguments.outputs["completions"].resolve())
    with open_barrier(prompts, config, endpoints, store, rank, job) as barrier:
        collected = run(collect_together(prompts, config, endpoints, store, barrier, task_file))
        if collected:
            _write(collected, len(prompts), arguments)


def _imported(prompts: list[Prompt], arguments: Arguments[TeacherConfig]) -> "Collected":
    from azdistill.teacher.imported import load_completions

    if "answers" not in arguments.inputs:
        raise InputError(
            "teacher_route='completions' needs a file of completions", fix="set teacher.completions to a JSONL file"
        )
    return load_completions(prompts, arguments.inputs["answers"], arguments.config)


def _prompts(arguments: Arguments[TeacherConfig]) -> list[Prompt]:
    folder = arguments.inputs["prompts"]
    read_manifest(folder)
    prompts = list(read_rows(folder / PROMPTS_FILE, Prompt))
    if not prompts:
        raise DataError(f"{folder / PROMPTS_FILE}: no prompts; there is nothing to ask")
    return prompts


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
