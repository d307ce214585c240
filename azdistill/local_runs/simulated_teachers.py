"""Simulated teachers of a run whose teacher_route is simulated: started before it and stopped after it."""

import logging
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

logger = logging.getLogger("azdistill.local_runs")

# Hidden, because the other entries of a run folder are nodes.
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
def simulated_teachers(pipeline: Pipeline, request: RunRequest) -> Iterator[Mapping[str, str]]:
    """Serve the simulated teachers of a run within the context. Yields the environment variable with their URLs.

    Starts none, and yields no variable, for a run with a real teacher, and if no node of this run calls a teacher.
    Raises InputError for a `teachers` file without teachers.
    """
    teachers = _teachers_to_simulate(pipeline, request)
    if not teachers or not _calls_teacher(request, pipeline):
        yield {}
        return
    settings = _settings(pipeline, request)
    logger.info("%s", _notice([teacher.called for teacher in teachers]))
    with running_together(
        settings[index] if index < len(settings) else Simulation(seed=index) for index in range(len(teachers))
    ) as urls:
        yield {SIMULATOR_VARIABLE: " ".join(urls)}


def _notice(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is simulated: a program on loopback answers, not a language model"
    return f"{', '.join(names)} are simulated: programs on loopback answer, not language models"


def _teachers_to_simulate(pipeline: Pipeline, request: RunRequest) -> tuple[Teacher, ...]:
    """The teachers in the order of their file. Empty unless teacher_route is simulated."""
    if override_inputs(pipeline, request.options.inputs).inputs.get(ROUTE.name) != "simulated":
        return ()
    config = _read_input(pipeline, request, "teachers", _teachers)
    return config.teachers if config else ()


def _teachers(value: Any) -> TeacherConfig:
    return TeacherConfig.model_validate({"teachers": value, "teacher_route": "simulated"})


def _settings(pipeline: Pipeline, request: RunRequest) -> list[Simulation]:
    """Settings of the simulated teachers, in the order of the teachers. A teacher without settings gets defaults."""
    read = TypeAdapter(list[Simulation]).validate_python
    return _read_input(pipeline, request, "simulation", read) or []


def _read_input(pipeline: Pipeline, request: RunRequest, name: str, read: Callable[[Any], T]) -> T | None:
    """Read the JSON file of a pipeline input. None if the pipeline has no such input."""
    data = override_inputs(pipeline, request.options.inputs).inputs.get(name)
    if not isinstance(data, Data):
        return None
    path = local_path(data, request.options.home, request.options.data, ("inputs", name))
    try:
        return read(read_json(path))
    except ValidationError as problem:
        raise InputError(f"inputs.{name}={str(path)!r}: {explain_findings(problem)}") from None


def _calls_teacher(request: RunRequest, pipeline: Pipeline) -> bool:
    """True if this run executes a node with the input teacher_route. Such a node may be reused or not selected."""
    names = {name for name, node in pipeline.nodes.items() if ROUTE in node.inputs.values()}
    explanations = explain(pipeline.path, request.folder, request.options)
    return any(node.node in names and not node.reused for node in explanations)
