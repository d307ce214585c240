"""curate: completions to rows worth learning from."""

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, TaskChoice


class CurateConfig(StepConfig):
    """Which completions become labels. Test rows never do."""

    task: TaskChoice = Field("conversation", description="decides whether an answer is valid")
    min_chars: int = Field(
        1, ge=1, description="drop answers shorter than this, characters; reasoning before them isn't counted"
    )
    max_chars: int = Field(
        100_000, ge=1, description="drop answers longer than this, characters; reasoning before them isn't counted"
    )
    drop_disagreeing: bool = Field(
        False, description="drop rows whose reference answer says something else than the teacher"
    )
    drop_minority: bool = Field(
        False,
        description="of several answers to one prompt, drop those that say something else than most do; "
        "in a tie, than the first",
    )
    max_drop_ratio: float = Field(
        0.5,
        ge=0,
        le=1,
        description="fail when more than this part had to be dropped; repeated and minority answers don't count",
    )


STEP = Step(
    name="curate",
    description="Drop truncated, filtered, empty, unparseable, disagreeing and repeated answers; write training rows.",
    config=CurateConfig,
    inputs={"completions": Port("uri_folder", "completions.jsonl"), "task_file": TASK_FILE},
    outputs={"curated": Port("uri_folder", "train.jsonl, validation.jsonl and drops.json")},
)
