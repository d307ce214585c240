"""Regression suites: rows on which the student must not be worse than the baseline, outside the test rows."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.problems import explain
from azdistill.contracts.rows import Prompt
from azdistill.contracts.task import TaskChoice

# An Azure ML component has fixed inputs: step regression has one for the data file of each suite.
MOST_SUITES = 8

# A label as it is written in rows and answers.
SuiteLabel = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class Suite(BaseModel):
    """The name of a suite, and how its rows are read."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        max_length=40,
        description="Name of the suite, in the report and in the names of its gates.",
    )
    task: TaskChoice = Field(
        "conversation",
        description="Task of the rows, which reads and scores them. own: the Python file of the job's task.",
    )
    labels: tuple[SuiteLabel, ...] | None = Field(
        None,
        min_length=2,
        description="Labels of task nli in the order of their integers. Default: entailment, neutral, contradiction.",
    )

    @property
    def label_names(self) -> str | None:
        """The labels as a step's config has them."""
        return ",".join(self.labels) if self.labels else None


class SuiteGate(Suite):
    """A suite with its metric, and the bounds of the student's gain over the baseline."""

    metric: str | None = Field(
        None,
        description="Metric of rows, such as accuracy, sentence_chrf or refused. Default: the primary metric of the "
        "task.",
    )
    min_gain: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Minimum difference of the student's mean score from the baseline's, such as -0.02. null: none.",
    )
    max_gain: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Maximum difference of the student's mean score from the baseline's, for a metric such as refused "
        "on harmless rows. null: none.",
    )


class SuiteRow(Prompt):
    """A row of a suite. Its split is test: it is never sent to a teacher and never trained."""

    suite: str


def read_suite_gates(path: Path) -> tuple[SuiteGate, ...]:
    """The suites of a job, as its bundle has them. Raises InputError for another file."""
    try:
        return TypeAdapter(tuple[SuiteGate, ...]).validate_python(read_json(path))
    except ValidationError as error:
        raise InputError(f"{path}: not a list of regression suites ({explain(error)})") from None
