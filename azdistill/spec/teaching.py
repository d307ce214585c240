"""The teacher's section: whom to ask, or the answers that are there already."""

from typing import Any, Self, get_args

from pydantic import Field, model_validator

from azdistill.contracts.teacher import ExpertName, Teacher, TeacherConfig
from azdistill.spec.paths import SpecPath

UNNAMED = "given"
"""Who gave the completions, where a job doesn't say it."""


class Teaching(TeacherConfig):
    """Whom to ask, how, and how hard to try.

    With completions that are there already, nobody is asked.
    """

    completions: SpecPath | None = Field(
        None, description="JSONL file of answers that you have; then nobody is asked, and teachers say who gave them"
    )

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("completions") is None:
            return values
        return {"teachers": [{"model": UNNAMED}], "teacher_route": "completions", **values}

    def rehearsed_as(self, task: str) -> Self:
        """The same with a stand-in of the task, where the simulation names no expert of its own."""
        expert = task if task in get_args(ExpertName) else "conversation"
        return self.model_copy(update={"teachers": tuple(_with_expert(teacher, expert) for teacher in self.teachers)})


def _with_expert(teacher: Teacher, expert: str) -> Teacher:
    if "expert" in teacher.simulation.model_fields_set:
        return teacher
    simulation = teacher.simulation.model_copy(update={"expert": expert})
    return teacher.model_copy(update={"simulation": simulation})
