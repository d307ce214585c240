"""Section `teacher` of a job: the teachers and their settings, or completions to import."""

from typing import Any

from pydantic import Field, model_validator

from azdistill.contracts.teacher import TeacherConfig
from azdistill.job.paths import SpecPath

# Name of the teacher of imported completions if the job names none.
PROVIDED = "given"


class TeacherSection(TeacherConfig):
    """Teachers, sampling parameters, rate limits and retries.

    With `completions`, no requests are sent.
    """

    completions: SpecPath | None = Field(
        None,
        description="Completions to import: a file or folder of conversations with answers, or of logs. No requests "
        "are sent; `teachers` names who wrote them.",
    )

    @model_validator(mode="before")
    @classmethod
    def _default_for_completions(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("completions") is None:
            return values
        return {"teachers": [{"model": PROVIDED}], "teacher_route": "completions", **values}
