"""Step evaluate: score student, baseline and teacher on the same test rows, and decide the gates."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.task import METRIC_FILE, TASK_FILE, Labels, TaskChoice

# Properties of every test row by which the evaluation is sliced, besides columns of the user's rows.
SLICES = ("source", "user turns", "prompt length", "script", "reference")


class MetricBound(BaseModel):
    """A bound of one metric of the student, on all test rows or on a slice, absolute or compared with another model."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    metric: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="Name of a metric, such as rougeL.")
    at_least: float | None = Field(None, description="Lower bound.")
    at_most: float | None = Field(None, description="Upper bound.")
    compared_with: Literal["baseline", "teacher"] | None = Field(
        None,
        description="Bound the student's mean score minus that of this model, on the same rows. "
        "Default: the student's own value.",
    )
    slice: Literal["worst"] | dict[str, str] | None = Field(
        None,
        description="Rows with these values, such as {topic: billing}; worst: the slice with the worst value. "
        "Default: all test rows.",
    )
    confidence: float | None = Field(
        None, gt=0.5, lt=1, description="Confidence level of the interval. Default: evaluate.confidence."
    )
    one_sided: bool = Field(
        False, description="Use the whole error probability on the side of the bound, as a one-sided test does."
    )

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise PydanticCustomError(
                "incompatible_fields", "needs either at_least or at_most", {"fix": "set one of them"}
            )
        return self

    @property
    def bound(self) -> float:
        return self.at_least if self.at_least is not None else self.at_most or 0.0

    @property
    def name(self) -> str:
        """Such as `min_accuracy_vs_baseline (topic=billing)`."""
        against = f"_vs_{self.compared_with}" if self.compared_with else ""
        return f"{'max' if self.at_least is None else 'min'}_{self.metric}{against}{self._rows_name}"

    @property
    def _rows_name(self) -> str:
        if self.slice is None:
            return ""
        if self.slice == "worst":
            return " (worst slice)"
        return f" ({', '.join(f'{name}={value}' for name, value in self.slice.items())})"


class Gates(BaseModel):
    """Minimum results of the student. None disables a gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    min_retention: float | None = Field(
        0.9,
        gt=0,
        le=2,
        description="Minimum ratio of the student's primary metric to the teacher's, on the same rows.",
    )
    min_gain: float | None = Field(
        0.0, ge=-1, le=1, description="Minimum difference of the student's primary metric from the baseline's."
    )
    min_slice_gain: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="Minimum gain on each slice of the test rows (source, turns, length, reference), such as -0.02.",
    )
    min_accuracy: float | None = Field(None, ge=0, le=1, description="Minimum accuracy of the student.")
    metrics: dict[str, float] = Field(
        {},
        description="bounds of other metrics of the student by name, such as bleu: 30 or latency: 0.5: at least, or at "
        "most where lower is better",
    )
    bounds: tuple[MetricBound, ...] = Field(
        (),
        description="Bounds of metrics on a slice, compared with another model, or with a confidence of their own.",
    )
    accept_inconclusive: bool = Field(
        False,
        description="Register the student also when a gate is inconclusive: the bound is inside the confidence "
        "interval.",
    )


class EvaluateConfig(StepConfig):
    """Scoring of the answers, and the gates."""

    task: TaskChoice = Field(
        "conversation",
        description="Task, which decides whether an answer is correct, and the default of primary_metric.",
    )
    labels: Labels = None
    primary_metric: str | None = Field(
        None,
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="Row metric that retention and gain compare, such as accuracy, sentence_chrf or rougeL. "
        "Default: sentence_chrf for conversation, rougeL for summarization, accuracy for other tasks.",
    )
    seed: Annotated[int, RunInput()] = Field(0, ge=0, description="Seed of the bootstrap.")
    resamples: int = Field(
        2000, ge=100, le=100_000, description="Number of bootstrap resamples for the confidence intervals."
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Confidence level of the intervals.")
    enforce_gates: Annotated[bool, RunInput()] = Field(
        True, description="false: report the gates, and register the student even if one fails."
    )
    serving_hour_price: float | None = Field(
        None, ge=0, description="Price of one hour of the machine that will serve the student, for gate cost_per_1000."
    )
    gates: Gates = Field(Gates(), description="Minimum results of the student.")


STEP = Step(
    name="evaluate",
    description="Score student, baseline and teacher on the same test rows; decide the gates; exit 0.",
    config=EvaluateConfig,
    inputs={
        "prompts": Port("uri_folder", "prompts.jsonl with the test rows and their reference answers"),
        "completions": Port("uri_folder", "the teacher's answers"),
        "student": Port("uri_folder", "the student's predictions"),
        "baseline": Port("uri_folder", "the baseline's predictions"),
        "regressions": Port("uri_folder", "rows of the regression suites", optional=True),
        "suite_gates": Port("uri_file", "JSON list: metric and bounds of each regression suite", optional=True),
        "judgements": Port("uri_folder", "verdicts of a judge, for metric judge", optional=True),
        "task_file": TASK_FILE,
        "metric_file": METRIC_FILE,
    },
    outputs={
        "evaluation": Port(
            "uri_folder", "metrics.json, gate.json, scores.jsonl; of a judge judge.json; of suites suites.jsonl"
        )
    },
)
