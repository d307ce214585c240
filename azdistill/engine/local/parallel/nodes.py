"""Run a parallel node: split its input, have workers run the entry script on each part, collect what it returns.

On Azure ML a node has `max_concurrency_per_instance` workers on each of its instances. This machine is one instance, so
it has as many, and those of the others as far as the run's `jobs` allows.
"""

import shlex
import shutil
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.local.parallel.batches import MiniBatch, delivered, split
from azdistill.engine.local.parallel.crew import Crew, GivenUp
from azdistill.engine.local.parallel.limits import Limits, Tally, read_limits
from azdistill.engine.local.parallel.results import Results
from azdistill.engine.local.task import Task
from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.model import Parallel

PLACE = ".batches"
"""In a node's folder, as long as it is not done: its table in parts, and the results of mini-batches."""


def run_parallel(task: Task) -> int:
    """Run a parallel node to its end, and return the exit code. Raises Stopped and OSError as `Processes.start` does;
    what was finished until then is not run again when the node goes on."""
    work = task.node.component.parallel
    assert work is not None
    try:
        _run(task, work)
    except (InputError, GivenUp) as problem:
        task.note(str(problem))
        return 1
    return 0


def _run(task: Task, work: Parallel) -> None:
    arguments = _arguments(task, work)
    limits, place = read_limits(work, arguments), task.folder / PLACE
    batches, results = split(task, work, place / "table"), Results(place / "results")
    deliveries = delivered(batches, task.options.faults)
    tally = Tally(len(batches), sum(batch.items for batch in batches))
    for batch in batches:
        if batch in results:
            tally.add(batch.items, batch.items)
    waiting = [batch for batch in deliveries if batch not in results]
    most = min(workers(task, work), len(waiting))
    task.note(f"{tally}{_again(deliveries, batches)}; {most} at a time, each with a log.N.txt beside this file")
    Crew(task, work, _orders(work, limits, arguments), limits, results, tally, most).run(waiting)
    if work.append_to:
        _append(results, deliveries, task.resolved.outputs[work.append_to], limits)
    shutil.rmtree(place)
    task.note(f"{tally}")


def workers(task: Task, work: Parallel) -> int:
    """How many processes the node may have."""
    resources = task.node.settings.get("resources")
    given = resources.get("instance_count") if isinstance(resources, dict) else None
    instances = given if isinstance(given, int) else 1
    if work.concurrency is None:
        return task.options.jobs
    return min(work.concurrency * instances, max(work.concurrency, task.options.jobs))


def _append(results: Results, deliveries: list[MiniBatch], output: Path, limits: Limits) -> None:
    try:
        results.append(deliveries, output, limits.header)
    except OSError as problem:
        raise GivenUp(f"{output} could not be written: {problem.strerror}; make room and run again") from None


def _again(deliveries: list[MiniBatch], batches: list[MiniBatch]) -> str:
    return f", {len(deliveries) - len(batches)} to be delivered twice" if len(deliveries) > len(batches) else ""


def _arguments(task: Task, work: Parallel) -> list[str]:
    text = render(work.arguments, task.resolved.ports)
    try:
        return shlex.split(text)
    except ValueError as problem:
        raise InputError(f"program_arguments={text!r}: {problem}") from None


def _orders(work: Parallel, limits: Limits, arguments: list[str]) -> dict[str, Any]:
    """What a worker is told first. As on Azure ML, arguments of its own stand before those of the script, so that one
    that reads its arguments with `parse_args`, and not with `parse_known_args`, fails here too."""
    own = {
        "scoring_module_name": work.entry_script,
        "mini_batch_size": work.size or 1,
        "error_threshold": limits.item_errors,
        "output_action": "append_row" if work.append_to else "summary_only",
        "logging_level": work.logging_level,
        "run_invocation_timeout": work.timeout,
        "run_max_try": 1 + work.retries,
    }
    before = [text for name, value in own.items() for text in (f"--{name}", str(value))]
    return {"script": work.entry_script, "arguments": before + arguments, "logging_level": work.logging_level}
