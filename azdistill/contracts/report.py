"""report: render the manifests and metrics of all steps."""

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class ReportConfig(StepConfig):
    """Title and student of the report."""

    title: str = Field("distillation", pattern=r"^[A-Za-z0-9._-]+$", description="the job's name")
    registered_model: str = Field(
        "student", pattern=r"^[A-Za-z0-9._-]+$", description="name of the student in the registry"
    )


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
