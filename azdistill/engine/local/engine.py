"""The local engine: run a pipeline on this machine, with Azure ML's meaning."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from azdistill.engine.errors import InputError
from azdistill.engine.local.environments import check_names
from azdistill.engine.local.faults import NO_FAULTS
from azdistill.engine.local.faults import Faults as Faults
from azdistill.engine.local.guards import check_system, disk_errors, interrupts, locked
from azdistill.engine.local.machine import NO_PATHS, NONE, Machine, silent
from azdistill.engine.local.part import WHOLE, Part, before
from azdistill.engine.local.processes import GRACE_S
from azdistill.engine.local.registered import registered_in
from azdistill.engine.local.results import Event as Event
from azdistill.engine.local.results import Explanation as Explanation
from azdistill.engine.local.results import NodeRun as NodeRun
from azdistill.engine.local.results import RunResult as RunResult
from azdistill.engine.local.results import describe_failure as describe_failure
from azdistill.engine.local.run import Run
from azdistill.engine.local.settings import with_inputs
from azdistill.engine.local.storage import home_folder
from azdistill.engine.pipeline.documents import Pipeline
from azdistill.engine.pipeline.findings import suggestion
from azdistill.engine.pipeline.flatten import flat
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.validation import check


def run_pipeline(
    pipeline: Path,
    folder: Path,
    *,
    inputs: Mapping[str, str] = NONE,
    part: Part = WHOLE,
    environment: Mapping[str, str] = NONE,
    home: Path | None = None,
    data: Mapping[str, Path] = NO_PATHS,
    interpreters: Mapping[str, Path] = NO_PATHS,
    make_environments: bool = False,
    watch: Callable[[Event], None] = lambda event: None,
    say: Callable[[str], None] = silent,
    jobs: int | None = None,
    grace: float = GRACE_S,
    faults: Faults = NO_FAULTS,
) -> RunResult:
    """Run a pipeline file in a run folder; what is unchanged there is reused.

    `inputs` set pipeline inputs, as text. `part` is what of the pipeline to run. `environment` adds
    variables to the processes and does not count for reuse. `home` (default: AZDISTILL_HOME, else .azdistill) holds
    what runs share: datastores, downloads, registered components, environments and the model registry. `data` are
    local copies of registered data and of addresses, by name or address. `interpreters` are Pythons, or folders of
    virtual environments, by the name of the environment that they stand for; with `make_environments` the others that
    have pip packages are made. `say` gets a line for what takes long before the first node. `jobs` is how many nodes
    run side by side, the number of cores when None. An interrupted run gives its nodes `grace` seconds to end.
    `faults` are what goes wrong on purpose. As on Azure ML, a failed node ends the run, unless
    settings.continue_on_step_failure lets independent ones finish; see `RunResult.check`.

    Raises PipelineError for a pipeline that can't run, InputError when another run uses the folder
    or `part` starts after a node that would have to run, AzdistillError for a download or an environment that can't
    be had, Interrupted on Ctrl-C or SIGTERM, with a folder that the next run continues.
    """
    check_system()
    cores = os.cpu_count() or 1
    home = home or home_folder()
    machine = Machine(home, data, interpreters, make_environments, environment, jobs or cores, grace, say, faults)
    loaded = _checked(pipeline, inputs, part, machine)
    run = Run(loaded, folder, machine, part, watch)
    run.resolver.check_data()
    with disk_errors(folder), locked(folder):
        run.prepare_machine()
        with interrupts() as interrupted:
            if part.start:
                _check_start(Run(loaded, folder, machine, part), part.start)
            return run.run(interrupted)


def explain(
    pipeline: Path,
    folder: Path,
    *,
    inputs: Mapping[str, str] = NONE,
    part: Part = WHOLE,
    home: Path | None = None,
    data: Mapping[str, Path] = NO_PATHS,
    interpreters: Mapping[str, Path] = NO_PATHS,
    make_environments: bool = False,
    faults: Faults = NO_FAULTS,
) -> tuple[Explanation, ...]:
    """For each node, in the order of the run: reused, or what has changed since it ran in `folder`.

    Takes what `run_pipeline` takes. Raises PipelineError for a pipeline that can't run. Runs and writes nothing.
    """
    machine = Machine(home or home_folder(), data, interpreters, make_environments, faults=faults)
    run = Run(_checked(pipeline, inputs, part, machine), folder, machine, part)
    run.resolver.check_data()
    return tuple(run.explain())


def _checked(path: Path, inputs: Mapping[str, str], part: Part, machine: Machine) -> Pipeline:
    pipeline = with_inputs(load_pipeline(path, registered_in(machine.home)), inputs)
    check(pipeline)
    whole = flat(pipeline)
    check_names(machine.interpreters, whole.nodes.values())
    _check_faults(machine.faults, whole)
    return part.of(whole)


def _check_faults(faults: Faults, pipeline: Pipeline) -> None:
    """Raises InputError for a fault of a node that there isn't."""
    for name in faults.preempt:
        if name not in pipeline.nodes:
            raise InputError(f"--preempt {name!r}: no such node; {suggestion(name, pipeline.nodes)}")


def _check_start(run: Run, start: str) -> None:
    """Raises InputError when a node before the one to start from would have to run."""
    needed = before(run.pipeline.nodes, start)
    for one in run.explain() if needed else ():
        if one.node in needed and not one.reused:
            raise InputError(
                f"--from {start!r}: {one.node}, which comes before it, can't be reused ({'; '.join(one.reasons)}); "
                f"leave --from out, or give --from {one.node}"
            )
