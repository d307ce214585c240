"""Run a parallel node: split its input, run the entry script on each mini-batch in worker processes, collect the rows.

On Azure ML a node has `max_concurrency_per_instance` workers on each of its instances. This machine is one instance: it
runs as many workers, and those of the other instances as far as the run's `jobs` allows.
"""

import shlex
import shutil
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.local.attempts import NodeAttempt
from azdistill.engine.local.parallel.batches import MiniBatch, split_input, with_duplicates
from azdistill.engine.local.parallel.limits import BatchCounts, ParallelLimits, read_limits
from azdistill.engine.local.parallel.pool import NodeAborted, WorkerPool
from azdistill.engine.local.parallel.results import BatchResults
from azdistill.engine.local.storage import engine_folder
from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.model import Parallel

# In a node's folder until the node is done: its table in parts, and the results of mini-batches.
BATCHES = ".batches"


def run_parallel(attempt: NodeAttempt) -> int:
    """Run a parallel node to its end and return the exit code.

    Raises Stopped and OSError as `Processes.start` does. Mini-batches that are finished by then do not run again in the
    next attempt.
    """
    parallel = attempt.node.component.parallel
    assert parallel is not None
    try:
        _run(attempt, parallel)
    except (InputError, NodeAborted) as error:
        attempt.note(str(error))
        return 1
    return 0


def _run(attempt: NodeAttempt, parallel: Parallel) -> None:
    arguments = _arguments(attempt, parallel)
    limits, folder = read_limits(parallel, arguments), engine_folder(attempt.folder / BATCHES)
    batches, results = split_input(attempt, parallel, folder / "table"), BatchResults(folder / "results")
    deliveries = with_duplicates(batches, attempt.options.faults)
    counts = BatchCounts(len(batches), sum(batch.items for batch in batches))
    for batch in batches:
        if batch in results:
            counts.add(batch.items, batch.items)
    waiting = [batch for batch in deliveries if batch not in results]
    size = min(max_workers(attempt, parallel), len(waiting))
    duplicates = f", {len(deliveries) - len(batches)} delivered twice" if len(deliveries) > len(batches) else ""
    attempt.note(f"{counts}{duplicates}; {size} concurrently, each worker with a log.N.txt next to this file")
    settings = _worker_settings(parallel, limits, arguments)
    WorkerPool(attempt, parallel, settings, limits, results, counts, size).run(waiting)
    if parallel.append_to:
        _append(results, deliveries, attempt.resolved.outputs[parallel.append_to], limits)
    shutil.rmtree(folder)
    attempt.note(f"{counts}")


def max_workers(attempt: NodeAttempt, parallel: Parallel) -> int:
    """The maximum number of worker processes of a node."""
    resources = attempt.node.settings.get("resources")
    count = resources.get("instance_count") if isinstance(resources, dict) else None
    instances = count if isinstance(count, int) else 1
    if parallel.concurrency is None:
        return attempt.options.jobs
    return min(parallel.concurrency * instances, max(parallel.concurrency, attempt.options.jobs))


def _append(results: BatchResults, deliveries: list[MiniBatch], output: Path, limits: ParallelLimits) -> None:
    try:
        results.append(deliveries, output, limits.header)
    except OSError as error:
        raise NodeAborted(f"{output} could not be written: {error.strerror}; free disk space and run again") from None


def _arguments(attempt: NodeAttempt, parallel: Parallel) -> list[str]:
    text = render(parallel.arguments, attempt.resolved.ports)
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InputError(str(error), field=("program_arguments",), value=text) from None


def _worker_settings(parallel: Parallel, limits: ParallelLimits, arguments: list[str]) -> dict[str, Any]:
    """The first message to a worker.

    As on Azure ML, the worker's arguments come before those of the script: a script that calls `parse_args` instead
    of `parse_known_args` fails here too.
    """
    of_azure = {
        "scoring_module_name": parallel.entry_script,
        "mini_batch_size": parallel.size or 1,
        "error_threshold": limits.failed_items,
        "output_action": "append_row" if parallel.append_to else "summary_only",
        "logging_level": parallel.logging_level,
        "run_invocation_timeout": parallel.timeout,
        "run_max_try": 1 + parallel.retries,
    }
    before = [text for name, value in of_azure.items() for text in (f"--{name}", str(value))]
    return {"script": parallel.entry_script, "arguments": before + arguments, "logging_level": parallel.logging_level}
