"""Settings of the simulated teachers of a job, in the order of its teachers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, get_args

from azdistill.contracts.simulation import JUDGE, ExpertName, Simulation

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def simulations(job: "DistillationJob") -> list[Simulation]:
    """One entry per teacher: its settings in section `simulation`, with the defaults that depend on the job.

    Without settings, a simulated teacher is the expert of the job's task, accepts the teacher's own parameters, and
    its seed is its index, so that several teachers fail on different rows.
    """
    return list(_simulations(job))


def as_json(job: "DistillationJob") -> list[dict[str, Any]]:
    """The content of pipeline input `simulation`."""
    return [simulation.model_dump(mode="json") for simulation in simulations(job)]


def judge_as_json(job: "DistillationJob") -> list[dict[str, Any]]:
    """The content of pipeline input `judge_simulation`."""
    return [simulation.model_dump(mode="json") for simulation in judge_simulations(job)]


def judge_simulations(job: "DistillationJob") -> list[Simulation]:
    """The settings of the judge, none without a judge.

    Without settings, a simulated judge prefers the answer that is closer to a reference of the row.
    """
    if job.judge is None:
        return []
    judge = job.judge.judge_model
    settings = job.simulation.get(judge.called, Simulation())
    defaults: dict[str, Any] = {"expert": JUDGE, "accepted_parameters": tuple(judge.parameters)}
    unset = {name: value for name, value in defaults.items() if name not in settings.model_fields_set}
    return [settings.model_copy(update=unset)]


def _simulations(job: "DistillationJob") -> Iterator[Simulation]:
    expert = job.task if job.task in get_args(ExpertName) else "conversation"
    for index, teacher in enumerate(job.teacher.teachers):
        settings = job.simulation.get(teacher.called, Simulation())
        accepted = tuple(teacher.parameters)
        defaults: dict[str, Any] = {"expert": expert, "seed": index, "accepted_parameters": accepted}
        unset = {name: value for name, value in defaults.items() if name not in settings.model_fields_set}
        yield settings.model_copy(update=unset)
