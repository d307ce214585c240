"""Checks of a sweep against its trial: the search space must fit the trial's inputs."""

from dataclasses import replace
from importlib.util import find_spec

from azdistill.engine.pipeline.authorities import SERVICE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.model import InputPort, Node
from azdistill.engine.pipeline.search_space import Candidate, Choice, Distribution, Randint, Uniform
from azdistill.engine.pipeline.types import Mismatch, mismatch
from azdistill.engine.pipeline.yaml_node import YamlNode

# Name of the folder with the trials, in the folder of a sweep node.
TRIALS = "trials"


def check_sweep(job: YamlNode, node: Node) -> set[str]:
    """Check a sweep job. Returns the inputs of the trial that the search space gives values."""
    trial = node.component
    for name, input in job.at("search_space").entries():
        if trial.ports_known and name not in trial.inputs:
            input.error("unknown_input", "the trial has no such input", input.suggest(name, trial.inputs))
        elif name in job.at("inputs").mapping():
            message = f"inputs.{name} already gives a fixed value"
            input.error("duplicate_value", message, "remove one of them", refused_by=SERVICE_AND_ENGINE)
    for name, distribution in node.sweep.space.items() if node.sweep else ():
        if name in trial.inputs and (reason := _mismatch(trial.inputs[name], distribution)):
            job.at("search_space", name).error(*reason, refused_by=SERVICE)
        elif name in trial.inputs and trial.inputs[name].type == "integer" and _has_fractions(distribution):
            message = f"{distribution} gives fractions, but the input is an integer: the command gets the fraction"
            job.at("search_space", name).warning("type_mismatch", message, "use randint, or the q form with q: 1")
    _check_local(job, node)
    return set(job.at("search_space").mapping())


def _check_local(job: YamlNode, node: Node) -> None:
    if node.component.ports_known and not node.component.command:
        job.at("trial").error("type_mismatch", "the trial of a sweep must be a command component")
    if TRIALS in node.component.outputs:
        message = f"the local engine uses the name {TRIALS!r} itself"
        job.at("trial").error("unsupported_locally", message, "rename this output of the trial", scope="local")
    if find_spec("mlflow") is None:
        message = "a local sweep reads its metric from mlflow, which is not installed"
        job.error("missing_package", message, command="pip install 'azdistill[local]'", scope="local")


def _mismatch(port: InputPort, distribution: Distribution) -> Mismatch | None:
    """The reason why an input rejects the values of a distribution; None if it accepts them."""
    if isinstance(distribution, Choice):
        for value in distribution.values:
            if reason := _choice_mismatch(port, value):
                return reason._replace(message=f"{value!r} {reason.message}")
        return None
    if port.type not in ("integer", "number", "string", "any"):
        return Mismatch("type_mismatch", f"{distribution} gives numbers, but the input is of type {port.type}")
    number = replace(port, type="number", options=())
    for bound in _bounds(distribution):
        if reason := mismatch(number, bound):
            return reason._replace(message=f"{distribution} includes {bound:g}, which {reason.message}")
    return None


def _has_fractions(distribution: Distribution) -> bool:
    return not isinstance(distribution, (Choice, Randint)) and not isinstance(distribution.q, int)


def _choice_mismatch(port: InputPort, value: Candidate) -> Mismatch | None:
    """Azure ML accepts no booleans in a choice, so they are written as text."""
    is_boolean = isinstance(value, str) and value.lower() in ("true", "false")
    return None if is_boolean and port.type == "boolean" else mismatch(port, value)


def _bounds(distribution: Distribution) -> tuple[float, ...]:
    if isinstance(distribution, Randint):
        return 0, distribution.upper - 1
    if isinstance(distribution, Uniform) and not distribution.log:
        return distribution.low, distribution.high
    return ()
