"""Checks of a sweep against its trial: what it searches has to fit what the trial takes."""

from dataclasses import replace
from importlib.util import find_spec

from azdistill.engine.pipeline.documents import InputPort, Node
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.search_space import Candidate, Choice, Distribution, Randint, Uniform
from azdistill.engine.pipeline.types import misfit
from azdistill.engine.problems import suggest

TRIALS = "trials"
"""The folder of the trials in the folder of a sweep node."""


def check_sweep(part: Part, node: Node) -> set[str]:
    """Findings about a sweep job. Returns the inputs of the trial that its search gives a value."""
    trial = node.component
    for name, at in part.at("search_space").entries():
        if trial.closed and name not in trial.inputs:
            at.error(f"the trial has no such input; {suggest(name, trial.inputs)}", value=None)
        elif name in part.at("inputs").mapping():
            at.error(f"inputs.{name} gives it a fixed value too; take one of them out", value=None)
    for name, found in node.sweep.space.items() if node.sweep else ():
        if name in trial.inputs and (problem := _misfit(trial.inputs[name], found)):
            part.at("search_space", name).error(problem, value=None)
    _check_local(part, node)
    return set(part.at("search_space").mapping())


def _check_local(part: Part, node: Node) -> None:
    if node.component.closed and not node.component.command:
        part.at("trial").error("no command component, and a sweep runs one")
    if TRIALS in node.component.outputs:
        part.at("trial").error(f"it has an output {TRIALS!r}, and here its trials lie under that name", "local")
    if find_spec("mlflow") is None:
        part.error("a sweep asks mlflow for its metric: pip install 'azdistill[local]'", "local", value=None)


def _misfit(port: InputPort, found: Distribution) -> str | None:
    """Why what a distribution gives can't be a value of an input, or None."""
    if isinstance(found, Choice):
        return next(
            (f"{value!r}: {problem}" for value in found.values if (problem := _choice_misfit(port, value))), None
        )
    if port.type not in ("integer", "number", "string", "any"):
        return f"{found} gives numbers, and the input is of type {port.type}"
    if port.type == "integer" and not isinstance(found, Randint) and not isinstance(found.q, int):
        return f"{found} gives fractions, and the input is an integer; give q: 1 to its q form, or write randint"
    outside = (misfit(replace(port, type="number", options=()), bound) for bound in _bounds(found))
    return next((f"{found}: {problem}" for problem in outside if problem), None)


def _choice_misfit(port: InputPort, value: Candidate) -> str | None:
    """Azure ML's schema has no true and false in a choice, so that they stand there as texts."""
    is_boolean = isinstance(value, str) and value.lower() in ("true", "false")
    return None if is_boolean and port.type == "boolean" else misfit(port, value)


def _bounds(found: Distribution) -> tuple[float, ...]:
    if isinstance(found, Randint):
        return 0, found.upper - 1
    return (found.low, found.high) if isinstance(found, Uniform) and not found.log else ()
