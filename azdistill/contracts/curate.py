"""Step curate: filter the teacher's completions and write training rows."""

from typing import Annotated

from pydantic import Field

from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, Labels, TaskChoice
from azdistill.contracts.verdicts import HIGHEST, LOWEST


class CurateConfig(StepConfig):
    """Filters of the completions. Test rows never become training rows."""

    task: TaskChoice = Field("conversation", description="Task, which decides whether an answer is valid.")
    labels: Labels = None
    min_chars: int = Field(1, ge=1, description="Minimum length of an answer, characters, without its reasoning.")
    max_chars: int = Field(100_000, ge=1, description="Maximum length of an answer, characters, without its reasoning.")
    language: str | None = Field(
        None,
        pattern=r"^(same|[a-z]{2,3})$",
        description="Drop answers in another language: an ISO 639 code such as en, or same for that of the last user "
        "turn. Texts of fewer than 60 characters are not checked. Default: any language.",
    )
    drop_refusals: bool = Field(
        False,
        description="Drop short answers that begin with a refusal to help (English, German, French, Spanish, Italian, "
        "Portuguese, Dutch, Romanian), except where a reference answer does too.",
    )
    drop_disagreeing: bool = Field(
        False, description="Drop rows whose reference answer disagrees with the teacher's answer."
    )
    min_judge_score: Annotated[float | None, RunInput()] = Field(
        None,
        ge=LOWEST,
        le=HIGHEST,
        description="Drop answers to which the judge of section judge gives a lower score, from 1 to 5, or none. The "
        "judge is then asked about each answer that may become a training or validation row. Default: it is not asked.",
    )
    drop_minority: bool = Field(
        False,
        description="Drop answers that disagree with the majority of the answers to the same prompt; in a tie, "
        "with the first.",
    )
    min_agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Minimum fraction of the valid answers to a prompt that agree with the majority; all answers to "
        "another prompt are dropped.",
    )
    weight_by_agreement: bool = Field(
        False,
        description="Multiply the weight of a row by the fraction of the valid answers to its prompt that agree with "
        "the majority.",
    )
    near_duplicates: float | None = Field(
        None,
        ge=0.7,
        le=1,
        description="Drop rows whose prompt and answer both have at least this similarity (Jaccard, character "
        "n-grams) to an earlier row, and the same numbers. 0.8 fits most data. Default: none is dropped.",
    )
    max_label_ratio: float | None = Field(
        None,
        ge=1,
        description="Maximum ratio between the numbers of training rows of a label and of the rarest label; "
        "further rows are dropped (tasks nli and own). Default: no maximum.",
    )
    weight_by_label: bool = Field(
        False,
        description="Multiply the weight of a training row by the inverse frequency of its label, with mean 1 "
        "(tasks nli and own).",
    )
    keep: int | None = Field(
        None,
        ge=1,
        description="Maximum number of answers to train on; those that differ most from one another are kept. "
        "Default: all.",
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
        description="Maximum fraction of answers that may be dropped before the step fails; duplicates, near "
        "duplicates, minority answers, and rows that max_label_ratio or keep drops do not count.",
    )

    @property
    def compares_answers(self) -> bool:
        """True if the answers to one prompt are compared."""
        return self.drop_minority or self.min_agreement > 0 or self.weight_by_agreement

    @property
    def compares_labels(self) -> bool:
        """True if labels of training rows are counted."""
        return self.max_label_ratio is not None or self.weight_by_label

    @property
    def compares_rows(self) -> bool:
        """True if a row is kept or weighted because of other rows."""
        return self.compares_labels or self.near_duplicates is not None or self.keep is not None


STEP = Step(
    name="curate",
    description="Drop truncated, filtered, empty, unparseable, disagreeing and repeated answers; write training rows.",
    config=CurateConfig,
    inputs={
        "completions": Port("uri_folder", "completions.jsonl of the teacher"),
        "answer_scores": Port("uri_folder", "of step judge_answers, for min_judge_score", optional=True),
        "task_file": TASK_FILE,
    },
    outputs={"curated": Port("uri_folder", "train.jsonl, validation.jsonl and drops.json")},
)
