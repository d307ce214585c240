"""Step train with a teacher behind an endpoint that scores the answers which the student samples."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts import train
from azdistill.contracts.requests import STORE, RequestConfig, Teacher
from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.train import TrainConfig

# Input with the model that a server next to the training serves.
MODEL_PORT = "scorer_model"

# Name of that model in requests and reports.
SERVED_NAME = "scorer"


class ScorerRoute(StepConfig):
    """The source of the scores."""

    scorer_route: Annotated[Literal["endpoint", "simulated"], RunInput()] = Field(
        "endpoint",
        description="Source of the scores: the endpoint or served model, or, for a dry run, the student before "
        "training, served on loopback.",
    )


class ScorerConfig(StepConfig):
    """The teacher that scores the sampled answers: an endpoint, or a model that is served next to the training."""

    teacher: Teacher | None = Field(
        None,
        description="The model at an endpoint with vLLM's prompt_logprobs, with its prices and limits, as in "
        "teacher.teachers.",
    )
    top_k: int = Field(20, ge=1, le=20, description="Number of the teacher's most likely tokens at each sampled token.")
    budget: float | None = Field(
        None,
        gt=0,
        description="Maximum cost of the scores of this job, including those already in the store. Needs prices.",
    )
    max_attempts: int = Field(6, ge=1, le=100, description="Maximum number of attempts for a sampled answer.")
    timeout_s: float = Field(300.0, gt=0, le=3600, description="Timeout of a request, seconds.")
    gpu_memory: float = Field(
        0.4, gt=0, lt=1, description="Fraction of the GPU memory for a served model, from its start on."
    )
    start_minutes: float = Field(30.0, gt=0, le=600, description="Maximum time until a served model answers, minutes.")

    @model_validator(mode="after")
    def _has_endpoint_and_prices(self) -> "ScorerConfig":
        teacher = self.teacher
        if self.budget is not None and (teacher is None or None in (teacher.input_price, teacher.output_price)):
            raise PydanticCustomError(
                "no_prices",
                "budget needs the prices of the scoring teacher",
                {"fix": "set teacher.input_price and teacher.output_price, or remove budget"},
            )
        return self

    @property
    def requests(self) -> "ScorerRequests":
        """The settings with which the teacher library asks for scores."""
        return ScorerRequests(
            teachers=(self.teacher or Teacher(model=SERVED_NAME),),
            teacher_route="simulated" if self.teacher is None else "endpoint",
            max_tokens=1,
            budget=self.budget,
            max_attempts=self.max_attempts,
            timeout_s=self.timeout_s,
        )


class ScorerRequests(RequestConfig):
    """Settings of the requests to a scoring teacher."""

    role: ClassVar[str] = "scorer"


class ScoredTrainConfig(ScorerRoute, TrainConfig):
    """Fine-tuning hyperparameters of on-policy distillation with a scoring teacher."""

    scorer: ScorerConfig = Field(description="The teacher that scores the sampled answers.")

    @model_validator(mode="after")
    def _has_one_teacher_of_sampled_answers(self) -> "ScoredTrainConfig":
        if self.is_self_taught:
            raise PydanticCustomError(
                "incompatible_fields",
                "scorer and on_policy.teacher self both score the sampled answers",
                {"fix": "remove scorer, or set on_policy.teacher to auto"},
            )
        return self

    @property
    def has_scorer(self) -> bool:
        return True


STEP = Step(
    name=train.STEP.name,
    variant="scored",
    description="Fine-tune the student on the curated rows and on answers that it samples, which a teacher scores.",
    config=ScoredTrainConfig,
    inputs={
        **train.STEP.inputs,
        MODEL_PORT: Port("custom_model", "scoring teacher that is served next to the training", optional=True),
    },
    outputs={
        **train.STEP.outputs,
        "store": STORE,
    },
    environment=train.STEP.environment,
)
