"""Run a pipeline on this machine with Azure ML's semantics, or explain which nodes would run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from azdistill.engine.errors import InputError
from azdistill.engine.local.environments import check_names
from azdistill.engine.local.guards import check_system, create_folder, disk_errors, interrupts, locked
from azdistill.engine.local.options import Faults, RunOptions
from azdistill.engine.local.overrides import override_inputs
from azdistill.engine.local.registered import registered_in
from azdistill.engine.local.results import Event, Explanation, RunResult
from azdistill.engine.local.run import Run
from azdistill.engine.local.selection import dependencies
from azdistill.engine.pipeline.checks import require_runnable
from azdistill.engine.pipeline.flatten import flatten
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Pipeline
from azdistill.engine.problems import suggest


def run_pipeline(
    pipeline: Path,
    folder: Path,
    options: RunOptions | None = None,
    *,
    watch: Callable[[Event], None] = lambda event: None,
    **overrides: Any,
) -> RunResult:
    """Run a pipeline file, or a component file, in a run folder. Nodes that have not changed since their last run in
    that folder are reused.

    `overrides` are fields of `RunOptions`, as keyword arguments: `run_pipeline(path, folder, inputs={"epochs": "1"})`.
    `watch` is called with the state of all nodes whenever it may have changed. As on Azure ML, a failed node ends the
    run, unless `settings.continue_on_step_failure` is true; `RunResult.check` raises for failed nodes.

    Raises PipelineError for a pipeline that cannot run, InputError when another run uses the folder or
    `selection.start` depends on a node that would have to run, AzdistillError when a download or an environment fails,
    and Interrupted after Ctrl-C or SIGTERM; the next run in the folder continues.
    """
    check_system()
    options = replace(options or RunOptions(), **overrides)
    loaded = _load(pipeline, options)
    run = Run(loaded, folder, options, watch)
    with disk_errors(folder, options.home), locked(folder):
        create_folder(options.home, f"AZDISTILL_HOME {str(options.home)!r}")
        run.prepare_machine()
        with interrupts() as interrupted:
            if options.selection.start:
                _check_start(Run(loaded, folder, options), options.selection.start)
            return run.run(interrupted)


def explain(
    pipeline: Path, folder: Path, options: RunOptions | None = None, **overrides: Any
) -> tuple[Explanation, ...]:
    """Predict each node, in the order of the run: reused, or what has changed since it ran in `folder`.

    Arguments are those of `run_pipeline`. Raises PipelineError for a pipeline that cannot run. Writes nothing.
    """
    options = replace(options or RunOptions(), **overrides)
    run = Run(_load(pipeline, options), folder, options)
    return tuple(run.explain())


def _load(path: Path, options: RunOptions) -> Pipeline:
    """Read, check and flatten a pipeline, and select its nodes."""
    pipeline = override_inputs(load_pipeline(path, registered_in(options.home)), options.inputs)
    require_runnable(pipeline, options.force)
    flattened = flatten(pipeline)
    check_names(options.interpreters, flattened.nodes.values())
    _check_faults(options.faults, flattened)
    return options.selection.apply(flattened)


def _check_faults(faults: Faults, pipeline: Pipeline) -> None:
    """Raises InputError for a fault of an unknown node."""
    for name in faults.preempt:
        if name not in pipeline.nodes:
            raise InputError("no such node", subject=f"--preempt {name!r}", fix=suggest(name, pipeline.nodes))


def _check_start(run: Run, start: str) -> None:
    """Raises InputError when `start` depends on a node that would have to run."""
    needed = dependencies(run.pipeline.nodes, start)
    for explanation in run.explain() if needed else ():
        if explanation.node in needed and not explanation.reused:
            raise InputError(
                f"it depends on {explanation.node}, which cannot be reused ({'; '.join(explanation.reasons)})",
                subject=f"--from {start!r}",
                fix=f"remove --from, or set --from {explanation.node}",
            )
