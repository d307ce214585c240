"""Section `tuning`: a sweep over fields of `train`, as Azure ML's sweep job.

Source: https://learn.microsoft.com/azure/machine-learning/reference-yaml-job-sweep
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import Problem, suggest
from azdistill.contracts.step import scalar_type
from azdistill.contracts.sweep import OBJECTIVE
from azdistill.contracts.train import TrainConfig
from azdistill.job.run_settings import instance_count, process_count, timeout
from azdistill.job.shorthand import INHERITED

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

SCALARS = (str, int, float, bool)


class TuningModel(BaseModel):
    """Base of the models of this section."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Range(TuningModel):
    """Numbers between two bounds; integers for a field of integers."""

    min: float = Field(description="Smallest value.")
    max: float = Field(description="Largest value.")
    log: bool = Field(False, description="Draw exponents: each order of magnitude is as likely as another.")


class EarlyTermination(TuningModel):
    """The rule that ends trials which fall behind."""

    policy: Literal["bandit", "median_stopping"] = Field(
        "median_stopping",
        description="bandit: end a trial that is worse than the best one by slack_factor. median_stopping: end a trial "
        "that is worse than the median of the others.",
    )
    slack_factor: float = Field(0.1, gt=0, description="Permitted distance to the best trial, for bandit.")
    evaluation_interval: int = Field(1, ge=1, description="Number of validations between two decisions.")
    delay_evaluation: int = Field(0, ge=0, description="Number of validations before the first decision.")


def _check_candidates(candidates: Any) -> Any:
    """One problem for a value that is neither of the two, where pydantic would report one for each type."""
    if isinstance(candidates, Range):
        return candidates
    if isinstance(candidates, list) and candidates and all(isinstance(value, SCALARS) for value in candidates):
        return candidates
    if isinstance(candidates, dict) and {"min", "max"} <= candidates.keys() <= Range.model_fields.keys():
        numbers = [candidates["min"], candidates["max"]]
        if all(isinstance(number, int | float) for number in numbers) and isinstance(
            candidates.get("log", False), bool
        ):
            return candidates
    raise PydanticCustomError(
        "wrong_type",
        "must be a list of values, or a range with min, max and log",
        {"fix": "write [1, 2, 3] or {min: 1.0e-5, max: 1.0e-3, log: true}"},
    )


# Values of a field: a list to choose from, or a range.
Candidates = Annotated[
    Annotated[list[str | int | float | bool], Field(min_length=1)] | Range, BeforeValidator(_check_candidates)
]


class TuningSection(TuningModel):
    """Train several students with other values of `train`; later steps use the one with the lowest validation loss."""

    search_space: dict[str, Candidates] = Field(
        min_length=1,
        description="Fields of train, each with a list of values or a range such as {min: 1e-5, max: 1e-3, log: true}.",
    )
    sampling: Literal["random", "grid", "bayesian"] = Field(
        "random", description="grid: all combinations of lists. bayesian: learn from earlier trials, on Azure ML only."
    )
    max_trials: int = Field(8, ge=1, le=1000, description="Maximum number of trials. Each is a training.")
    max_concurrent_trials: int = Field(2, ge=1, le=1000, description="Maximum number of trials at a time.")
    early_termination: EarlyTermination | None = Field(None, description="Ends bad trials early.")


def sweep_of(job: "DistillationJob") -> dict[str, Any] | None:
    """The fields that make a sweep of the train node. None without tuning."""
    tuning = job.tuning
    if tuning is None:
        return None
    space = {name: _distribution(name, candidates) for name, candidates in sorted(tuning.search_space.items())}
    return {
        "search_space": space,
        "sampling_algorithm": tuning.sampling,
        "objective": {"goal": "minimize", "primary_metric": OBJECTIVE},
        **({"early_termination": _policy(tuning.early_termination)} if tuning.early_termination else {}),
        "limits": {
            "max_total_trials": tuning.max_trials,
            "max_concurrent_trials": min(tuning.max_concurrent_trials, tuning.max_trials),
            "trial_timeout": timeout("train", job.compute),
        },
    }


def tuning_problems(job: "DistillationJob") -> Iterator[Problem]:
    """The errors that need the fields of train, or the compute section."""
    if job.tuning is None:
        return
    for name, candidates in job.tuning.search_space.items():
        yield from _field_problems(name, candidates)
        yield from _sampling_problems(job.tuning.sampling, name, candidates)
    yield from _compute_problems(job)


def _field_problems(name: str, candidates: list[Any] | Range) -> Iterator[Problem]:
    field = ("tuning", "search_space", name)
    known = [field for field, info in TrainConfig.model_fields.items() if scalar_type(info) and field not in INHERITED]
    if name not in known:
        yield Problem(
            code="unknown_field",
            message="is no field of train that can be tuned",
            fix=suggest(name, known),
            field=field,
        )
        return
    if isinstance(candidates, Range) and scalar_type(TrainConfig.model_fields[name]) not in (int, float):
        yield Problem(code="type_mismatch", message="is no number", fix="write a list of values", field=field)
        return
    if isinstance(candidates, Range) and not candidates.min < candidates.max:
        yield Problem(code="out_of_range", message="min must be less than max", field=field, value=candidates.min)
        return
    if isinstance(candidates, Range) and candidates.log and candidates.min <= 0:
        yield Problem(code="out_of_range", message="min must be greater than 0", field=field, value=candidates.min)
        return
    for value in (candidates.min, candidates.max) if isinstance(candidates, Range) else candidates:
        try:
            TrainConfig.model_validate({name: value})
        except ValidationError as error:
            reason = error.errors(include_url=False)[0]["msg"]
            yield Problem(code="invalid_value", message=f"train refuses it ({reason})", field=field, value=value)


def _sampling_problems(sampling: str, name: str, candidates: list[Any] | Range) -> Iterator[Problem]:
    field = ("tuning", "search_space", name)
    if sampling == "grid" and isinstance(candidates, Range):
        message, fix = "grid sampling needs a list of values", "write one, or sampling: random"
        yield Problem(code="incompatible_fields", message=message, fix=fix, field=field)
    elif sampling == "bayesian" and isinstance(candidates, Range) and candidates.log:
        message, fix = "bayesian sampling accepts no log range", "write a list, or sampling: random"
        yield Problem(code="incompatible_fields", message=message, fix=fix, field=field)


def _compute_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Azure ML has no distribution on a sweep node, and ignores its identity and environment variables."""
    from azdistill.job.components import step_of

    step, compute = step_of("train"), job.compute
    refused = {
        "train_processes": instance_count(step, compute) * process_count(step, compute) > 1,
        "identity": (compute.identity.type, compute.identity.client_id) != ("managed_identity", None),
        "environment_variables": bool(compute.environment_variables),
    }
    for name in (name for name, is_refused in refused.items() if is_refused):
        message = "Azure ML does not apply it to the trials of a sweep"
        fix = "choose a VM with one GPU" if name == "train_processes" else "remove it, or tuning"
        yield Problem(code="incompatible_fields", message=message, fix=fix, field=("compute", name))


def _distribution(name: str, candidates: list[Any] | Range) -> dict[str, Any]:
    """A distribution of Azure ML. Booleans are texts there, and the bounds of logarithmic ones are exponents of e."""
    if not isinstance(candidates, Range):
        values = [str(value).lower() if isinstance(value, bool) else value for value in candidates]
        return {"type": "choice", "values": values}
    low, high = (
        (math.log(candidates.min), math.log(candidates.max)) if candidates.log else (candidates.min, candidates.max)
    )
    is_integer = scalar_type(TrainConfig.model_fields[name]) is int
    kind = f"{'q' if is_integer else ''}{'log' if candidates.log else ''}uniform"
    return {"type": kind, "min_value": low, "max_value": high, **({"q": 1} if is_integer else {})}


def _policy(rule: EarlyTermination) -> dict[str, Any]:
    slack = {"slack_factor": rule.slack_factor} if rule.policy == "bandit" else {}
    return {
        "type": rule.policy,
        **slack,
        "evaluation_interval": rule.evaluation_interval,
        "delay_evaluation": rule.delay_evaluation,
    }
