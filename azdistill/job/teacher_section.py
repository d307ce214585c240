"""The teacher's section: whom to ask, or the answers that are there already."""

from typing import Any, Self, get_args

from pydantic import Field, model_validator

from azdistill.contracts.teacher import ExpertName, Teacher, TeacherConfig
from azdistill.job.paths import SpecPath

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
        """The same with stand-ins of the task that err on other rows, where a simulation doesn't say otherwise."""
        expert = task if task in get_args(ExpertName) else "conversation"
        found = (_rehearsed(teacher, expert, place) for place, teacher in enumerate(self.teachers))
        return self.model_copy(update={"teachers": tuple(found)})


def _rehearsed(teacher: Teacher, expert: str, seed: int) -> Teacher:
    given, usual = teacher.simulation, {"expert": expert, "seed": seed}
    mine = {name: value for name, value in usual.items() if name not in given.model_fields_set}
    return teacher.model_copy(update={"simulation": given.model_copy(update=mine)})
