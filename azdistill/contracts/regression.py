"""Step regression: read the rows of the regression suites."""

from typing import Annotated

from pydantic import Field

from azdistill.contracts.layout import PROMPTS_FILE
from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.suites import MOST_SUITES, Suite
from azdistill.contracts.task import TASK_FILE


class RegressionConfig(StepConfig):
    """The suites, in the order of their files."""

    suites: tuple[Suite, ...] = Field(description="Name, task and labels of each suite.", max_length=MOST_SUITES)
    rows: Annotated[int, RunInput()] = Field(
        0, ge=0, description="Maximum number of rows to read from each file; 0 for all."
    )
    max_reject_ratio: float = Field(
        0.02, ge=0, le=1, description="Maximum fraction of a suite's rows that may be rejected before the step fails."
    )


# Inputs with the data files of the suites, in their order.
SUITE_PORTS = tuple(f"suite_{number}" for number in range(1, MOST_SUITES + 1))

STEP = Step(
    name="regression",
    description="Read the rows of the regression suites, and leave out those that the student is trained on.",
    config=RegressionConfig,
    inputs={
        "prompts": Port("uri_folder", f"{PROMPTS_FILE} with the training rows"),
        **{
            port: Port("uri_file", f"JSONL file of suite number {number}", optional=True)
            for number, port in enumerate(SUITE_PORTS, 1)
        },
        "task_file": TASK_FILE,
    },
    outputs={"regressions": Port("uri_folder", "suites.jsonl and rejects.jsonl")},
)
