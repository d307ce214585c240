"""Simulated teachers and judges of a run: started before it and stopped after it."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.judge_requests import SIMULATED_JUDGE_VARIABLE
from azdistill.contracts.problems import explain as explain_findings
from azdistill.contracts.requests import SIMULATOR_VARIABLE, Teacher
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import TeacherConfig
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
SETTINGS, JUDGE_SETTINGS = ".simulation.json", ".judge-simulation.json"


@dataclass(frozen=True)
class Simulated:
    """Endpoints that may be simulated. `route`, `models` and `settings` are inputs of the pipeline: the source of the
    answers, the models behind the endpoints, and the settings of their simulation. `variable` names the URLs."""

    route: str
    models: str
    settings: str
    variable: str
    read_models: Callable[[Any], Sequence[Teacher]]


def _teachers(value: Any) -> Sequence[Teacher]:
    return TeacherConfig.model_validate({"teachers": value, "teacher_route": "simulated"}).teachers


def _judge(value: Any) -> Sequence[Teacher]:
    return [Teacher.model_validate(value)]


TEACHERS = Simulated("teacher_route", "teachers", "simulation", SIMULATOR_VARIABLE, _teachers)
JUDGE = Simulated("judge_route", "judge_model", "judge_simulation", SIMULATED_JUDGE_VARIABLE, _judge)


def with_simulation(request: RunRequest) -> RunRequest:
    """Set the inputs `simulation` and `judge_simulation` of a job whose teachers or judge are simulated in this run
    only.

    The bundle of a real job has no settings of simulations, so they are written to the run folder.
    """
    if isinstance(request.source, Path):
        return request
    from azdistill.job.simulation import as_json, judge_as_json

    job = request.source
    request = _with_settings(request, TEACHERS, SETTINGS, as_json(job))
    return _with_settings(request, JUDGE, JUDGE_SETTINGS, judge_as_json(job))


def _with_settings(request: RunRequest, simulated: Simulated, file: str, settings: Sequence[Any]) -> RunRequest:
    inputs = request.options.inputs
    if inputs.get(simulated.route) != "simulated" or simulated.settings in inputs:
        return request
    path = request.folder / file
    write_json(path, settings)
    return replace(request, options=replace(request.options, inputs={**inputs, simulated.settings: str(path)}))


@contextmanager
def simulated_teachers(pipeline: Pipeline, request: RunRequest) -> Iterator[Mapping[str, str]]:
    """Serve the simulated teachers and judge of a run within the context. Yields the variables with their URLs.

    Starts none, and yields no variable, for real ones, and if no node of this run calls them. Raises InputError for a
    `teachers` file without teachers.
    """
    models = {simulated: _models_to_simulate(pipeline, request, simulated) for simulated in (TEACHERS, JUDGE)}
    nodes = _running_nodes(request, pipeline) if any(models.values()) else set()
    with ExitStack() as stack:
        variables = {}
        for simulated, served in models.items():
            if served and nodes & _callers(pipeline, simulated):
                settings = _settings(pipeline, request, simulated)
                logger.info("%s", _notice([model.called for model in served]))
                urls = stack.enter_context(
                    running_together(
                        settings[index] if index < len(settings) else Simulation(seed=index)
                        for index in range(len(served))
                    )
                )
                variables[simulated.variable] = " ".join(urls)
        yield variables


def _notice(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is simulated: a program on loopback answers, not a language model"
    return f"{', '.join(names)} are simulated: programs on loopback answer, not language models"


def _models_to_simulate(pipeline: Pipeline, request: RunRequest, simulated: Simulated) -> Sequence[Teacher]:
    """The models in the order of their file. Empty unless the route is simulated."""
    if override_inputs(pipeline, request.options.inputs).inputs.get(simulated.route) != "simulated":
        return ()
    return _read_input(pipeline, request, simulated.models, simulated.read_models) or ()


def _settings(pipeline: Pipeline, request: RunRequest, simulated: Simulated) -> list[Simulation]:
    """Settings of the simulations, in the order of the models. A model without settings gets defaults."""
    read = TypeAdapter(list[Simulation]).validate_python
    return _read_input(pipeline, request, simulated.settings, read) or []


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


def _callers(pipeline: Pipeline, simulated: Simulated) -> set[str]:
    """Names of the nodes that call the models."""
    route = PipelineInput(simulated.route)
    return {name for name, node in pipeline.nodes.items() if route in node.inputs.values()}


def _running_nodes(request: RunRequest, pipeline: Pipeline) -> set[str]:
    """Names of the nodes that this run executes: others are reused or not selected."""
    explanations = explain(pipeline.path, request.folder, request.options)
    return {node.node for node in explanations if not node.reused}
