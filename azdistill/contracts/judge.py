"""Step judge: a language model compares or scores the answers to the test rows, by a rubric."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.requests import STORE_PATH, RequestConfig, Teacher, simulator_variable
from azdistill.contracts.step import Port, RunInput, Step, StepConfig

SIMULATED_JUDGE_VARIABLE = simulator_variable("judge")


class JudgeConfig(StepConfig):
    """The model that judges the answers of student, teacher and baseline."""

    judge_model: Teacher = Field(
        description="The model that judges, with its endpoint, prices and limits, as in teacher.teachers."
    )
    judge_route: Annotated[Literal["endpoint", "simulated"], RunInput()] = Field(
        "endpoint",
        description="Source of the verdicts: the endpoint, or the simulated judge that azdistill run starts.",
    )
    mode: Literal["pairwise", "score"] = Field(
        "pairwise",
        description="pairwise: which of two answers is better, asked in both orders, for each pair of models. "
        "score: one answer, from 1 to 5.",
    )
    rows: int = Field(200, ge=0, description="Maximum number of test rows that are judged; 0: all.")
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
        "a gate on it is inconclusive.",
    )

    @model_validator(mode="after")
    def _has_endpoint_and_prices(self) -> "JudgeConfig":
        judge = self.judge_model
        if self.judge_route == "endpoint" and not (judge.endpoint or judge.connection):
            raise PydanticCustomError(
                "no_endpoint",
                "judge_model {name} has neither endpoint nor connection",
                {"name": repr(judge.model), "fix": "set one, or judge_route: simulated for a dry run"},
            )
        if self.budget is not None and None in (judge.input_price, judge.output_price):
            raise PydanticCustomError(
                "no_prices",
                "budget needs the prices of judge_model {name}",
                {"name": repr(judge.model), "fix": "set its input_price and output_price"},
            )
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


STEP = Step(
    name="judge",
    description="Ask a judge which answers to the test rows are better, and store each verdict.",
    config=JudgeConfig,
    inputs={
        "prompts": Port("uri_folder", "prompts.jsonl with the test rows and their reference answers"),
        "completions": Port("uri_folder", "the teacher's answers"),
        "student": Port("uri_folder", "the student's predictions"),
        "baseline": Port("uri_folder", "the baseline's predictions"),
        "rubric": Port("uri_file", "text by which the judge decides"),
        "human_labels": Port("uri_file", "JSONL file of verdicts by people", optional=True),
        "judge_simulation": Port(
            "uri_file", "JSON list: settings of the simulated judge, for judge_route simulated", optional=True
        ),
    },
    outputs={
        "judgements": Port("uri_folder", "verdicts.jsonl, labels.jsonl, summary.json and usage.json"),
        "store": Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH),
    },
)
