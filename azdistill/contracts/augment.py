"""Step augment: a teacher writes new training prompts from those of the user."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from azdistill.contracts.layout import PROMPTS_FILE, REJECTS_FILE, REQUESTS_FILE, USAGE_FILE
from azdistill.contracts.personal_data import PersonalData
from azdistill.contracts.requests import SIMULATION, STORE, RequestConfig, Teacher, check_endpoints_and_prices
from azdistill.contracts.step import Port, RunInput, Step, StepConfig


class AugmentSettings(StepConfig):
    """New training prompts that a teacher writes from those of the user."""

    new_prompts: Annotated[int, RunInput()] = Field(
        ge=1, le=1_000_000, description="Number of new prompts. With fewer, the step logs a warning."
    )
    examples: int = Field(4, ge=1, le=20, description="Number of the user's prompts that a request shows.")
    per_request: int = Field(5, ge=1, le=50, description="Number of new prompts that a request asks for.")
    temperature: float = Field(1.0, ge=0, le=2, description="Sampling temperature of the new prompts.")
    max_tokens: int = Field(
        4096, ge=1, le=131_072, description="Maximum length of all new prompts of a request, tokens."
    )
    budget: float | None = Field(
        None,
        gt=0,
        description="Maximum cost of the new prompts of this job, including those already in the store. Needs prices.",
    )


class AugmentConfig(AugmentSettings):
    """New prompts, and the teachers that write them. Several teachers share the requests by their weights."""

    seed: Annotated[int, RunInput()] = Field(0, ge=0, description="Seed that selects the examples of each request.")
    pii: PersonalData = "off"
    teachers: tuple[Teacher, ...] = Field(
        min_length=1, max_length=16, description="Teachers that write the prompts: those of step teacher."
    )
    teacher_route: Annotated[Literal["endpoint", "simulated"], RunInput()] = Field(
        "endpoint",
        description="Source of the new prompts: the endpoint, or the simulated teacher that azdistill run starts.",
    )
    max_attempts: int = Field(6, ge=1, le=100, description="Maximum number of attempts for a request.")
    timeout_s: float = Field(300.0, gt=0, le=3600, description="Timeout of a request, seconds.")

    @model_validator(mode="after")
    def _has_endpoints_and_prices(self) -> "AugmentConfig":
        check_endpoints_and_prices(self.teachers, self.teacher_route, self.budget)
        return self

    @property
    def requests(self) -> RequestConfig:
        """The settings with which the teacher library sends the requests: requests without a reply fail no step."""
        return RequestConfig(
            teachers=self.teachers,
            teacher_route=self.teacher_route,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
            budget=self.budget,
            max_attempts=self.max_attempts,
            timeout_s=self.timeout_s,
            max_reject_ratio=1.0,
        )


STEP = Step(
    name="augment",
    description="Let a teacher write new training prompts from those of the user, and store each reply.",
    config=AugmentConfig,
    inputs={
        "prompts": Port("uri_folder", "prompts.jsonl of step prepare"),
        "public_test_sets": Port("uri_folder", "files of public test sets, one each", optional=True),
        "simulation": SIMULATION,
    },
    outputs={
        "augmented": Port("uri_folder", f"{PROMPTS_FILE}, {REJECTS_FILE}, {REQUESTS_FILE} and {USAGE_FILE}"),
        "store": STORE,
    },
)
