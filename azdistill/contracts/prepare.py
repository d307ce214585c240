"""prepare: the user's files to prompts.jsonl."""

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, TaskChoice


class PrepareConfig(StepConfig):
    """How the user's rows become prompts, and how they are split."""

    task: TaskChoice = Field("conversation", description="what the rows are")
    seed: int = Field(0, ge=0, description="decides the split, by a hash of seed and row")
    validation_fraction: float = Field(
        0.05, ge=0, lt=1, description="part of the training rows kept for validation when no validation data is given"
    )
    test_fraction: float = Field(
        0.1, ge=0, lt=1, description="part of the training rows held out for evaluation when no test data is given"
    )
    rows: int = Field(0, ge=0, description="use only the first rows of each file; 0 for all")
    max_reject_ratio: float = Field(
        0.02, ge=0, le=1, description="fail when more than this part of the rows had to be kept aside"
    )


STEP = Step(
    name="prepare",
    description="Validate the user's rows, normalise them to chat messages, remove duplicates, split.",
    config=PrepareConfig,
    inputs={
        "training_data": Port("uri_file", "JSONL rows to learn from"),
        "validation_data": Port("uri_file", "JSONL rows to validate on", optional=True),
        "test_data": Port("uri_file", "JSONL rows to evaluate on, with their reference answers", optional=True),
        "task_file": TASK_FILE,
    },
    outputs={"prompts": Port("uri_folder", "prompts.jsonl and rejects.jsonl")},
)
