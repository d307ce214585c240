"""The simulated teachers around a run whose teacher_route is simulated."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pydantic import ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.problems import explain as explain_findings
from azdistill.contracts.teacher import SIMULATOR_VARIABLE, Teacher, TeacherConfig
from azdistill.engine.local.settings import with_inputs
from azdistill.engine.local.storage import local_path
from azdistill.engine.pipeline.documents import Data, Pipeline
from azdistill.engine.pipeline.expressions import PipelineInput
from azdistill.local_runs.explained import explained
from azdistill.local_runs.request import Request
from azdistill.simulate.process import running_together

TEACHERS = "inputs.teachers"
ROUTE = PipelineInput("teacher_route")


@contextmanager
def stand_in(pipeline: Pipeline, request: Request) -> Iterator[Mapping[str, str]]:
    """Yields the environment that names the simulated teachers, which live as long as the block.

    Empty for a run that asks a real teacher, or none because the node that asks is reused or left out.
    Raises InputError for a `teachers` file that holds no teacher.
    """
    teachers = _simulated(pipeline, request)
    if not teachers or _reused(request, pipeline):
        yield {}
        return
    print(_notice([teacher.called for teacher in teachers]), file=sys.stderr)
    with running_together(teacher.simulation for teacher in teachers) as urls:
        yield {SIMULATOR_VARIABLE: " ".join(urls)}


def _notice(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is simulated: a stand-in on loopback answers, no language model"
    return f"{', '.join(names)} are simulated: stand-ins on loopback answer, no language models"


def _simulated(pipeline: Pipeline, request: Request) -> tuple[Teacher, ...]:
    """In their order; none where the route doesn't lead to them."""
    inputs = with_inputs(pipeline, request.options.inputs).inputs
    teachers = inputs.get("teachers")
    if inputs.get(ROUTE.name) != "simulated" or not isinstance(teachers, Data):
        return ()
    path = local_path(teachers, request.options.home, TEACHERS, request.options.data)
    try:
        config = TeacherConfig.model_validate({"teachers": read_json(path), "teacher_route": "simulated"})
    except ValidationError as problem:
        raise InputError(f"{TEACHERS}={str(path)!r}: {explain_findings(problem)}") from None
    return config.teachers


def _reused(request: Request, pipeline: Pipeline) -> bool:
    """Whether no node has to ask: those that take the route are reused, or left out."""
    asking = {name for name, node in pipeline.nodes.items() if ROUTE in node.inputs.values()}
    return all(node.reused for node in explained(request, pipeline.path) if node.node in asking)
