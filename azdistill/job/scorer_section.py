"""Section `scorer` of a job: the teacher that scores the answers which the student samples."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.chat_url import chat_url
from azdistill.contracts.problems import Problem
from azdistill.contracts.scoring import can_score
from azdistill.contracts.train_scored import ScorerConfig, ScorerRoute
from azdistill.job.catalog import ModelType
from azdistill.job.paths import SpecPath

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# Ways to a teacher of on-policy distillation, for the error of a job that has none.
SCORING_TEACHERS = "name a model in section white_box, or an endpoint with vLLM's prompt_logprobs in section scorer"


class ScorerSection(ScorerRoute, ScorerConfig):
    """The teacher that scores the answers which the student samples, for train.on_policy: `teacher`, an endpoint with
    vLLM's prompt_logprobs, or `model`, which vLLM serves on the GPU node of the training."""

    model: SpecPath | None = Field(
        None,
        description="A folder, an azureml: address or a model of the catalog, served next to the training in place of "
        "teacher.",
    )
    type: ModelType = Field("custom_model", description="Type with which an azureml: model is registered.")

    @model_validator(mode="after")
    def _has_one_source(self) -> "ScorerSection":
        if (self.teacher is None) == (self.model is None):
            raise PydanticCustomError(
                "incompatible_fields",
                "a scorer has either teacher or model",
                {"fix": "set teacher to an endpoint, or model to a folder or an azureml: address"},
            )
        teacher = self.teacher
        if self.scorer_route == "endpoint" and teacher and not (teacher.endpoint or teacher.connection):
            raise PydanticCustomError(
                "no_endpoint",
                "scoring teacher {name} has neither endpoint nor connection",
                {"name": repr(teacher.model), "fix": "set one, or scorer_route: simulated for a dry run"},
            )
        return self


def scorer_problems(job: "DistillationJob") -> Iterator[Problem]:
    """A scorer that nothing asks, one that is known to score nothing, and one for which there is no memory."""
    if job.scorer is None:
        return
    teacher = job.scorer.teacher
    if job.train.on_policy is None or job.train.is_self_taught:
        scored = "train.on_policy.teacher to auto" if job.train.is_self_taught else "train.on_policy"
        message, fix = "nothing is scored", f"set {scored}, or remove scorer"
        yield Problem(code="unused_teacher", message=message, fix=fix, field=("scorer",))
    if teacher and teacher.endpoint and not can_score(chat_url(teacher.endpoint)):
        yield Problem(
            code="no_scoring",
            message="serverless endpoints of Azure score no given tokens",
            fix="use vLLM behind a managed online endpoint, scorer.model, or white_box; for a teacher behind this "
            "endpoint, set train.on_policy.teacher to self, or use train.losses.top_k instead of train.on_policy",
            field=("scorer", "teacher", "endpoint"),
            value=teacher.endpoint,
        )
