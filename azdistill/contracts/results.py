"""Results that one step writes and other steps, the command line and the client read.

Metrics, gates, profiles and usage are JSON files in the folders of their steps::

    usage.json     Usage          teacher
    profile.json   Profile        predict
    metrics.json   Metrics        evaluate
    scores.jsonl   RowScores      evaluate, a line for each test row
    suites.jsonl   SuiteRowScores evaluate, a line for each row of the regression suites
    gate.json      GateDecision   evaluate

Fields that a later version adds are ignored by an earlier one.
"""

from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel, ValidationError

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.problems import explain
from azdistill.contracts.rows import Gold

ModelRole = Literal["teacher", "baseline", "student"]
MODEL_ROLES: tuple[ModelRole, ...] = get_args(ModelRole)

ReferenceSource = Literal["gold", "teacher"]
# Meaning of the metrics with reference source `teacher`.
NO_REFERENCES = (
    "No test row has a reference answer, so the teacher's answers are the reference: a score says how far a model "
    "agrees with the teacher, not whether it is right."
)
GateOutcome = Literal["passed", "refused", "inconclusive"]


class Result(BaseModel):
    """Base of the results: immutable; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class Interval(Result):
    """A value and its confidence interval. None: not defined, such as retention of a teacher that is never right."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


# Fraction of truncated answers above which the report and the gates name the cause.
MOST_TRUNCATED = 0.2

MetricValue = Interval | int | float | str | None


class ModelMetrics(RootModel[dict[str, MetricValue]]):
    """Metrics of one model by name, as declared in `azdistill.metrics`: an interval, a number or a text each."""

    model_config = ConfigDict(frozen=True)

    def get(self, name: str) -> MetricValue:
        """The stored value of a metric; None when the model has no metric of this name."""
        return self.root.get(name)

    def value(self, name: str) -> float | None:
        """A metric as a number, the value of an interval included; None when it is unknown or a text."""
        stored = self.root.get(name)
        number = stored.value if isinstance(stored, Interval) else stored
        return number if isinstance(number, int | float) else None

    def interval(self, name: str) -> Interval:
        """A metric with its interval; a plain number has no bounds."""
        stored = self.root.get(name)
        return stored if isinstance(stored, Interval) else Interval(value=self.value(name))

    @property
    def many_truncated(self) -> float | None:
        """Fraction of answers that have no end token. None where it is at most MOST_TRUNCATED, or unknown."""
        ended = self.value("ended")
        return None if ended is None or 1 - ended <= MOST_TRUNCATED else 1 - ended


class SliceMetrics(Result):
    """One group of test rows: those whose property `name` is `value`.

    `means` are the mean scores of the primary metric. `gain` is the student's minus the baseline's; its confidence is
    corrected for the number of slices. `detectable_gain` is the smallest gain that these rows would show with a
    probability of 80%.
    """

    name: str
    value: str
    rows: int
    means: dict[ModelRole, float]
    gain: Interval
    detectable_gain: float | None = None


class SuiteMetrics(Result):
    """One regression suite: mean scores of its metric on the rows that count for both models.

    `unscored` rows do not count, such as rows without a reference. `gain` is the student's mean minus the baseline's.
    Its gates, `min_gain` and `max_gain`, bound it; None: no bound.
    """

    name: str
    task: str
    metric: str
    rows: int
    unscored: int
    baseline: Interval
    student: Interval
    gain: Interval
    min_gain: float | None = None
    max_gain: float | None = None


class Metrics(Result):
    """Metrics of the three models on the same test rows.

    `rows` were scored; `unscored` had no reference. `reference` is the user's reference
    answers (gold), or the teacher's answers when no test row has one. `primary_metric` is
    the row metric that decides, `primary_reason` why it is that one. Retention is the
    student's primary metric divided by the teacher's, gain the student's minus the baseline's.
    `detectable_gain` is the smallest gain that these rows would show with a probability of 80%.
    """

    task: str
    primary_metric: str = "accuracy"
    primary_reason: str = ""
    reference: ReferenceSource
    rows: int
    unscored: int
    models: dict[ModelRole, ModelMetrics]
    retention: Interval
    gain: Interval
    detectable_gain: float | None = None
    slices: tuple[SliceMetrics, ...] = ()
    regressions: tuple[SuiteMetrics, ...] = Field((), exclude_if=lambda suites: not suites)

    @property
    def smallest_gain(self) -> Interval:
        """The smallest gain of a slice; empty without slices.

        The intervals of the slices hold together, so it is between the smallest of their lower and of their upper
        bounds.
        """
        gains = [group.gain.model_dump() for group in self.slices]
        bounds = {name: [gain[name] for gain in gains if gain[name] is not None] for name in Interval.model_fields}
        return Interval(**{name: min(values, default=None) for name, values in bounds.items()})


class RowScores(Result):
    """Answers to one test row and their scores.

    `gold` and `answers` are as the task extracts them (None: no valid or complete answer). `scores` is keyed by row
    metric and model: a bool, or a number from 0 to 1; None: the row does not count.
    """

    id: str
    gold: Gold | None = None
    answers: dict[ModelRole, str | None]
    scores: dict[str, dict[ModelRole, bool | float | None]]

    def score(self, metric: str, role: ModelRole) -> float | None:
        """Score of a model's answer as a number; None if the row does not count."""
        score = self.scores[metric][role]
        return None if score is None else float(score)

    def correct(self, role: ModelRole) -> bool | None:
        """True if the answer of a model is correct; None if the row has no reference."""
        score = self.score("accuracy", role)
        return None if score is None else score == 1


class SuiteRowScores(RowScores):
    """Answers of student and baseline to one row of a regression suite, and their scores by the suite's metric."""

    suite: str


class GateResult(Result):
    """One gate: its bound, and the value and interval compared with it. None: the value is not defined.

    `rows` is the number of rows that the value is of. `rows_needed`: of an inconclusive gate, about how many such rows
    would decide it if the value stayed the same.
    """

    name: str
    bound: float
    value: float | None
    low: float | None
    high: float | None
    outcome: GateOutcome
    rows: int | None = None
    rows_needed: int | None = None

    @property
    def interval(self) -> Interval:
        return Interval(value=self.value, low=self.low, high=self.high)


class GateDecision(Result):
    """The outcome of all gates. `register_student`, in gate.json `register`: whether the student may be registered."""

    decision: GateOutcome
    enforced: bool
    register_student: bool = Field(
        validation_alias=AliasChoices("register", "register_student"), serialization_alias="register"
    )
    gates: tuple[GateResult, ...]


class Profile(Result):
    """Resources of generation with one model.

    `seconds` and `tokens_per_s` are those of all answers, in full batches. Latency is that of single requests: the time
    from a tokenized prompt to the last token (`latency`), to the first one (`ttft`), and between two tokens (`itl`), as
    percentiles of requests that come one after the other. `concurrent_` figures are those of `concurrency` users who
    ask at the same time. `weight_bytes` is the memory of the weights, `weight_file_bytes` their size on disk.
    `peak_memory_bytes` is `peak_device_bytes` where there is a GPU, else `peak_process_bytes`. None: not measured.
    `cost_per_1000` is not measured: see `with_cost`. `engine` generated the answers; `engine_agreement` is the fraction
    of a sample in which vLLM gave the tokens of transformers.
    """

    rows: int
    parameters: int
    weight_bytes: int
    weight_file_bytes: int | None = None
    device: str
    engine: Literal["transformers", "vllm"] = "transformers"
    engine_agreement: float | None = None
    peak_memory_bytes: int
    peak_process_bytes: int | None = None
    peak_device_bytes: int | None = None
    generated_tokens: int
    seconds: float
    tokens_per_s: float
    latency_rows: int
    latency_p50_s: float | None
    latency_p95_s: float | None
    p50_latency_ms: float | None = None
    p95_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    ttft_p50_ms: float | None = None
    ttft_p95_ms: float | None = None
    ttft_p99_ms: float | None = None
    itl_p50_ms: float | None = None
    itl_p95_ms: float | None = None
    itl_p99_ms: float | None = None
    concurrency: int | None = None
    concurrent_p50_latency_ms: float | None = None
    concurrent_p95_latency_ms: float | None = None
    concurrent_p99_latency_ms: float | None = None
    concurrent_ttft_p50_ms: float | None = None
    concurrent_ttft_p95_ms: float | None = None
    concurrent_ttft_p99_ms: float | None = None
    concurrent_itl_p50_ms: float | None = None
    concurrent_itl_p95_ms: float | None = None
    concurrent_itl_p99_ms: float | None = None
    cost_per_1000: float | None = None

    def with_cost(self, hour_price: float | None) -> "Profile":
        """The profile with the cost of 1,000 answers in full batches, on a machine with this price of an hour."""
        if hour_price is None or not self.rows:
            return self
        return self.model_copy(update={"cost_per_1000": 1000 * hour_price / 3600 * self.seconds / self.rows})


class OutcomeUsage(Result):
    """Calls with one outcome (useful, unusable, retried, preflight), their tokens and cost in the prices' currency."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class TeacherUsage(Result):
    """Calls to one teacher. `retries` counts by reason, `ledger` is keyed by outcome."""

    calls: int = 0
    retries: dict[str, int] = {}
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ledger: dict[str, OutcomeUsage] = {}

    @property
    def cost(self) -> float:
        return sum(outcome.cost for outcome in self.ledger.values())


class LogprobsUsage(Result):
    """Answers whose log probabilities were kept, and how many came without, by reason."""

    rows: int
    tokens: int
    bytes: int = 0
    bytes_per_token: float | None = None
    without: dict[str, int] = {}


class Usage(TeacherUsage):
    """Calls to all teachers of a job. Latency in seconds; `answered_by` and `teachers` are keyed by teacher,
    `reported_models` by the name of the model in the replies."""

    teacher: str
    route: str
    asked: int
    answered: int
    rejected: int
    from_store: int
    finish_reasons: dict[str, int] = {}
    answered_by: dict[str, int] = {}
    reported_models: dict[str, int] = {}
    teachers: dict[str, TeacherUsage] = {}
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    logprobs: LogprobsUsage | None = None

    @property
    def simulated(self) -> bool:
        return self.route == "simulated"


class ScorerUsage(Usage):
    """Calls to a scoring teacher. `scored` counts sequences, equal ones each time, and `spent` is the cost of all
    scores of the training, also of those that an earlier attempt bought."""

    scored: int
    spent: float


Document = TypeVar("Document", bound=BaseModel)


def read_result(path: Path, result: type[Document]) -> Document:
    """Parse one of the files above. Raises DataError when it is missing or is not a `result`."""
    try:
        return result.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(f"not a {result.__name__} ({explain(error)})", file=path) from None


def write_result(path: Path, result: BaseModel) -> None:
    """Write a result as JSON, under the names that `read_result` accepts."""
    write_json(path, result.model_dump(mode="json", by_alias=True))
