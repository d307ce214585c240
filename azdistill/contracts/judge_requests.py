"""Settings of the requests to a judge: used by the steps that send them, judge_answers and judge."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from azdistill.contracts.requests import RequestConfig, Teacher, check_endpoints_and_prices, simulator_variable
from azdistill.contracts.step import Port, RunInput, StepConfig

SIMULATED_JUDGE_VARIABLE = simulator_variable("judge")

# Port of the steps that ask a judge.
JUDGE_SIMULATION = Port(
    "uri_file", "JSON list: settings of the simulated judge, for judge_route simulated", optional=True
)


class JudgeSettings(StepConfig):
    """The model that judges answers, and the limits of its requests."""

    judge_model: Teacher = Field(
        description="The model that judges, with its endpoint, prices and limits, as in teacher.teachers."
    )
    judge_route: Annotated[Literal["endpoint", "simulated"], RunInput()] = Field(
        "endpoint",
        description="Source of the verdicts: the endpoint, or the simulated judge that azdistill run starts.",
    )
    max_tokens: int = Field(
        1024, ge=1, le=131_072, description="Maximum length of the judge's reasons and verdict, tokens."
    )
    budget: float | None = Field(
        None,
        gt=0,
        description="Maximum cost of the verdicts of this job, including those already in the store. Needs prices.",
    )
    max_unjudged: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Maximum fraction of the judged rows without a verdict. Above it, metric judge is not defined and "
        "a gate on it is inconclusive. With curate.min_judge_score also the maximum fraction of the teacher's answers "
        "without a score, before the job fails.",
    )

    @model_validator(mode="after")
    def _has_endpoint_and_prices(self) -> "JudgeSettings":
        check_endpoints_and_prices((self.judge_model,), self.judge_route, self.budget, role="judge")
        return self

    @property
    def requests(self) -> "JudgeRequests":
        """The settings with which the teacher library asks the judge: at temperature 0, and rejects fail no step."""
        return JudgeRequests(
            teachers=(self.judge_model,),
            teacher_route=self.judge_route,
            max_tokens=self.max_tokens,
            budget=self.budget,
            max_reject_ratio=1.0,
        )


class JudgeRequests(RequestConfig):
    """Settings of the requests to a judge."""

    role: ClassVar[str] = "judge"
