"""report: the manifests and metrics of all steps as pages for people."""

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class ReportConfig(StepConfig):
    """What the report is called."""

    title: str = Field("distillation", pattern=r"^[A-Za-z0-9._-]+$", description="the job's name")
    registered_model: str = Field("student", pattern=r"^[A-Za-z0-9._-]+$", description="the name behind the gates")


STEP = Step(
    name="report",
    description="Render report.html, report.md and report.json from what the steps wrote.",
    config=ReportConfig,
    inputs={
        "prompts": Port("uri_folder", "of prepare"),
        "completions": Port("uri_folder", "of teacher"),
        "curated": Port("uri_folder", "of curate"),
        "training": Port("uri_folder", "metrics of train"),
        "student": Port("uri_folder", "the student's predictions"),
        "baseline": Port("uri_folder", "the untouched model's predictions"),
        "evaluation": Port("uri_folder", "of evaluate"),
    },
    outputs={"report": Port("uri_folder", "report.html, report.md and report.json")},
)
