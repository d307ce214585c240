"""Step curate: filter the teacher's completions and write training rows."""

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, Labels, TaskChoice


class CurateConfig(StepConfig):
    """Filters of the completions. Test rows never become training rows."""

    task: TaskChoice = Field("conversation", description="Task, which decides whether an answer is valid.")
    labels: Labels = None
    min_chars: int = Field(1, ge=1, description="Minimum length of an answer, characters, without its reasoning.")
    max_chars: int = Field(100_000, ge=1, description="Maximum length of an answer, characters, without its reasoning.")
    drop_disagreeing: bool = Field(
        False, description="Drop rows whose reference answer disagrees with the teacher's answer."
    )
    drop_minority: bool = Field(
        False,
        description="Drop answers that disagree with the majority of the answers to the same prompt; in a tie, "
        "with the "
        "first.",
    )
    min_teacher_accuracy: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Minimum fraction of the rows with a reference on which the teacher is right, before the step "
        "fails; for tasks with right and wrong answers (nli, qa, math, own) and at least 20 rows. 0: no minimum.",
    )
    max_drop_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Maximum fraction of answers that may be dropped before the step fails; duplicates and "
        "minority answers "
        "do not count.",
    )


STEP = Step(
    name="curate",
    description="Drop truncated, filtered, empty, unparseable, disagreeing and repeated answers; write training rows.",
    config=CurateConfig,
    inputs={"completions": Port("uri_folder", "completions.jsonl of the teacher"), "task_file": TASK_FILE},
    outputs={"curated": Port("uri_folder", "train.jsonl, validation.jsonl and drops.json")},
)
