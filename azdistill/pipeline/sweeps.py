"""Checks of a sweep: what it searches, and what for."""

from azdistill.pipeline.documents import Component
from azdistill.pipeline.findings import suggestion
from azdistill.pipeline.reading import Part

_GOALS = ("minimize", "maximize")
_SAMPLINGS = ("random", "grid", "bayesian")


def check_sweep(part: Part, trial: Component) -> set[str]:
    """Findings about a sweep job. Returns the inputs of the trial that its search gives a value."""
    space = part.at("search_space")
    if not space.mapping():
        space.error("required, a mapping of the trial's inputs to distributions", value=None)
    for name, at in space.entries():
        if trial.closed and name not in trial.inputs:
            at.error(f"the trial has no such input; {suggestion(name, trial.inputs)}", value=None)
        elif name in part.at("inputs").mapping():
            at.error(f"inputs.{name} gives it a fixed value too; take one of them out", value=None)
    _check_objective(part.at("objective"))
    _check_sampling(part.at("sampling_algorithm"))
    return set(space.mapping())


def _check_objective(part: Part) -> None:
    if not part.mapping().get("primary_metric"):
        part.at("primary_metric").error("required: the name of a metric as the trial logs it")
    goal = part.at("goal")
    if str(goal.value).lower() not in _GOALS:
        goal.error(f"expected one of {', '.join(_GOALS)}")


def _check_sampling(part: Part) -> None:
    kind = part.at("type") if isinstance(part.value, dict) else part
    if kind.value is not None and str(kind.value).lower() not in _SAMPLINGS:
        kind.error(f"expected one of {', '.join(_SAMPLINGS)}")
