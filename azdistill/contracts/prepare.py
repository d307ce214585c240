"""Step prepare: read the data files and write prompts.jsonl."""

from typing import Annotated, Literal

from pydantic import Field

from azdistill.contracts.personal_data import PersonalData
from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, Labels, TaskChoice

SliceColumns = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(,[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        description="Columns of the rows by which the evaluation is sliced, separated by commas.",
    ),
]

GroupColumn = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        description="Column of the rows whose rows with the same value stay in one split, such as customer_id.",
    ),
]


class PrepareConfig(StepConfig):
    """Conversion of the data rows into prompts, and their split."""

    task: TaskChoice = Field("conversation", description="Task of the rows.")
    labels: Labels = None
    seed: Annotated[int, RunInput()] = Field(0, ge=0, description="Seed of the split, which is a hash of seed and row.")
    validation_fraction: float = Field(
        0.05, ge=0, lt=1, description="Fraction of training rows used for validation, without validation_data."
    )
    test_fraction: float = Field(
        0.1, ge=0, lt=1, description="Fraction of training rows held out for testing, without test_data."
    )
    columns: dict[str, str] | None = Field(
        None, description="Columns of the rows by the names of the fields that the task reads."
    )
    slice_columns: SliceColumns = None
    group_column: GroupColumn = None
    leakage: Literal["drop", "report", "off"] = Field(
        "drop",
        description="Training and validation rows that are nearly a held-out row: drop them, report them in "
        "leaks.jsonl, or off: compare only equal texts.",
    )
    pii: PersonalData = "off"
    rows: Annotated[int, RunInput()] = Field(
        0, ge=0, description="Maximum number of rows to read from each file; 0 for all."
    )
    max_reject_ratio: float = Field(
        0.02, ge=0, le=1, description="Maximum fraction of rows that may be rejected before the step fails."
    )

    @property
    def sliced_by(self) -> list[str]:
        """Names of the slice columns."""
        return self.slice_columns.split(",") if self.slice_columns else []


STEP = Step(
    name="prepare",
    description="Validate the rows, convert them to chat messages, remove duplicates and split them.",
    config=PrepareConfig,
    inputs={
        "training_data": Port(
            "uri_file", "training rows, a file or folder; without it, all rows are test rows", optional=True
        ),
        "validation_data": Port("uri_file", "validation rows", optional=True),
        "test_data": Port("uri_file", "test rows with reference answers", optional=True),
        "public_test_sets": Port("uri_folder", "files of public test sets, one each", optional=True),
        "task_file": TASK_FILE,
    },
    outputs={
        "prompts": Port(
            "uri_folder",
            "prompts.jsonl, rejects.jsonl and left_out.jsonl; leaks.jsonl with leakage report, "
            "contamination.jsonl with public test sets",
        )
    },
)
