"""Step report: render the manifests and metrics of all steps."""

from typing import Annotated

from pydantic import Field

from azdistill.contracts.job_facts import JobFacts
from azdistill.contracts.step import Port, RunInput, Step, StepConfig


class ReportConfig(StepConfig):
    """Title of the report, name of the registered model, prices, and the fields that a sweep varied."""

    title: str = Field("distillation", pattern=r"^[A-Za-z0-9._-]+$", description="Name of the job.")
    registered_model: Annotated[str, RunInput()] = Field(
        "student", pattern=r"^[A-Za-z0-9._-]+$", description="Name of the student in the model registry."
    )
    training_hour_price: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Price of one hour of all nodes of the train step."
    )
    serving_hour_price: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Price of one hour of the machine that serves the student."
    )
    swept_fields: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(,[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        description="Fields of train that a sweep varied: the report shows its trials.",
    )
    job_facts: JobFacts = Field(JobFacts(), description="Models and their licences.")


STEP = Step(
    name="report",
    description="Render report.html, report.md and report.json from what the steps wrote.",
    config=ReportConfig,
    inputs={
        "prompts": Port("uri_folder", "of step prepare"),
        "augmented": Port("uri_folder", "of step augment", optional=True),
        "completions": Port("uri_folder", "of step teacher"),
        "answer_scores": Port("uri_folder", "of step judge_answers", optional=True),
        "curated": Port("uri_folder", "of step curate"),
        "training": Port("uri_folder", "metrics of step train"),
        "student": Port("uri_folder", "the student's predictions"),
        "baseline": Port("uri_folder", "the baseline's predictions"),
        "regressions": Port("uri_folder", "of step regression", optional=True),
        "judgements": Port("uri_folder", "of step judge", optional=True),
        "evaluation": Port("uri_folder", "of step evaluate"),
    },
    outputs={"report": Port("uri_folder", "report.html, report.md and report.json")},
)
