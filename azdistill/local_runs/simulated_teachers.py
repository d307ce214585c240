"""The simulated teachers around a run whose teacher_route is simulated."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.problems import explain as explain_findings
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import SIMULATOR_VARIABLE, Teacher, TeacherConfig
from azdistill.engine.local.engine import explain
from azdistill.engine.local.overrides import override_inputs
from azdistill.engine.local.storage import local_path
from azdistill.engine.pipeline.expressions import PipelineInput
from azdistill.engine.pipeline.model import Data, Pipeline
from azdistill.local_runs.request import RunRequest
from azdistill.simulate.process import running_together

T = TypeVar("T")

# Hidden, so that it isn't taken for a node of the run.
SETTINGS = ".simulation.json"
ROUTE = PipelineInput("teacher_route")


def with_simulation(request: RunRequest) -> RunRequest:
    """Set the input `simulation` of a job whose teachers are simulated in this run only.

    The bundle of a real job has no settings of simulated teachers, so they are written to the run folder.
    """
    inputs, job = request.options.inputs, request.source
    if isinstance(job, Path) or inputs.get(ROUTE.name) != "simulated" or "simulation" in inputs:
        return request
    from azdistill.job.simulation import as_json

    path = request.folder / SETTINGS
    write_json(path, as_json(job))
    return replace(request, options=replace(request.options, inputs={**inputs, "simulation": str(path)}))


@contextmanager
def stand_in(pipeline: Pipeline, request: RunRequest) -> Iterator[Mapping[str, str]]:
    """Yields the environment that names the simulated teachers, which live as long as the block.

    Empty for a run that asks a real teacher, or none because the node that asks is reused or left out.
    Raises InputError for a `teachers` file that holds no teacher.
    """
    teachers = _simulated(pipeline, request)
    if not teachers or _reused(request, pipeline):
        yield {}
        return
    settings = _settings(pipeline, request)
    print(_notice([teacher.called for teacher in teachers]), file=sys.stderr)
    with running_together(
        settings[index] if index < len(settings) else Simulation(seed=index) for index in range(len(teachers))
    ) as urls:
        yield {SIMULATOR_VARIABLE: " ".join(urls)}


def _notice(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is simulated: a stand-in on loopback answers, no language model"
    return f"{', '.join(names)} are simulated: stand-ins on loopback answer, no language models"


def _simulated(pipeline: Pipeline, request: RunRequest) -> tuple[Teacher, ...]:
    """In their order; none where the route doesn't lead to them."""
    if override_inputs(pipeline, request.options.inputs).inputs.get(ROUTE.name) != "simulated":
        return ()
    config = _read_input(pipeline, request, "teachers", _teachers)
    return config.teachers if config else ()


def _teachers(value: Any) -> TeacherConfig:
    return TeacherConfig.model_validate({"teachers": value, "teacher_route": "simulated"})


def _settings(pipeline: Pipeline, request: RunRequest) -> list[Simulation]:
    """The settings of the simulated teachers, in the order of the teachers. A teacher without settings has defaults."""
    read = TypeAdapter(list[Simulation]).validate_python
    return _read_input(pipeline, request, "simulation", read) or []


def _read_input(pipeline: Pipeline, request: RunRequest, name: str, read: Callable[[Any], T]) -> T | None:
    """Read the JSON file of a pipeline input; None where the pipeline has no such input."""
    data = override_inputs(pipeline, request.options.inputs).inputs.get(name)
    if not isinstance(data, Data):
        return None
    path = local_path(data, request.options.home, request.options.data, ("inputs", name))
    try:
        return read(read_json(path))
    except ValidationError as problem:
        raise InputError(f"inputs.{name}={str(path)!r}: {explain_findings(problem)}") from None


def _reused(request: RunRequest, pipeline: Pipeline) -> bool:
    """Whether no node has to ask: those that take the route are reused, or left out."""
    asking = {name for name, node in pipeline.nodes.items() if ROUTE in node.inputs.values()}
    return all(node.reused for node in explain(pipeline.path, request.folder, request.options) if node.node in asking)
