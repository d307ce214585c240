"""What report.json holds: everything the pages and the terminal show, and nothing else."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.rows import Message

Who = Literal["teacher", "baseline", "student"]
WHO: tuple[Who, ...] = ("teacher", "baseline", "student")


class Part(BaseModel):
    """Base of the report's parts: immutable. Fields that a step adds later are not ours to refuse."""

    model_config = ConfigDict(frozen=True)


class Interval(Part):
    """A figure and its confidence interval. None: not defined, such as retention of a teacher that is never right."""

    value: float | None
    low: float | None
    high: float | None


class ModelFigures(Part):
    """One model on the test rows. Latency in seconds, memory in bytes; None: not known or not ours to know."""

    accuracy: Interval
    agreement: Interval
    bleu: float
    bleu_signature: str
    answered: int
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    peak_memory_bytes: int | None = None
    weight_bytes: int | None = None
    parameters: int | None = None
    tokens_per_s: float | None = None
    device: str | None = None


class Gate(Part):
    """One gate: the bound the spec set, and what was measured against it."""

    name: str
    bound: float
    value: float | None
    low: float | None
    high: float | None
    outcome: str


class Verdict(Part):
    """What the gates decided, and what follows for the registry."""

    decision: Literal["passed", "refused", "inconclusive"]
    enforced: bool
    register_student: bool
    gates: tuple[Gate, ...]


class Stage(Part):
    """One stage of the rows' way: how many came out of it, and how many stayed behind and why."""

    name: str
    rows: int
    left_behind: dict[str, int]


class Ledger(Part):
    """Calls of one outcome, in the currency of the prices."""

    cost: float = 0.0


class TeacherUsage(Part):
    """One of several teachers. The ledger by outcome: useful, unusable, retried."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    ledger: dict[str, Ledger] = {}

    @property
    def cost(self) -> float:
        return sum(part.cost for part in self.ledger.values())


class Logprobs(Part):
    """Log probabilities that were kept, and the answers that came without, by reason."""

    rows: int
    tokens: int
    bytes_per_token: float | None = None
    without: dict[str, int] = {}


class Usage(Part):
    """What the teachers were asked for, as usage.json counts it. Latency in seconds. What folders of an earlier
    version lack is empty."""

    teacher: str
    route: str
    asked: int
    answered: int
    rejected: int
    from_store: int
    calls: int
    retries: dict[str, int]
    prompt_tokens: int
    completion_tokens: int
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    answered_by: dict[str, int] = {}
    teachers: dict[str, TeacherUsage] = {}
    logprobs: Logprobs | None = None

    @property
    def simulated(self) -> bool:
        return self.route == "simulated"


class CurvePoint(Part):
    """One line of history.jsonl."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None


class Example(Part):
    """One test row: the conversation, and what each model answered. None: no answer, or nothing to hold it against."""

    id: str
    messages: tuple[Message, ...]
    gold: str | None
    answers: dict[Who, str | None]
    correct: dict[Who, bool | None]


class Report(Part):
    """One distillation, as its report tells it. `reference` says whose answers the test rows are held against."""

    title: str
    registered_model: str
    task: str
    test_rows: int
    reference: Literal["gold", "teacher"]
    headline: str
    verdict: Verdict
    models: dict[Who, ModelFigures]
    retention: Interval
    gain: Interval
    stages: tuple[Stage, ...]
    usage: Usage
    training: dict[str, Any]
    curve: tuple[CurvePoint, ...]
    examples: tuple[Example, ...]
