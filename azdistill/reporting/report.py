"""What report.json holds: everything the pages and the terminal show, and nothing else."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.results import GateDecision, Interval, ModelMetrics, ModelRole, Usage
from azdistill.contracts.rows import Message


class ReportModel(BaseModel):
    """Base of the report's parts: immutable. Fields that a step adds later are not ours to refuse."""

    model_config = ConfigDict(frozen=True)


class Stage(ReportModel):
    """One stage of the rows' way: how many came out of it, and how many stayed behind and why."""

    name: str
    rows: int
    left_behind: dict[str, int]


class CurvePoint(ReportModel):
    """One line of history.jsonl."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    validation_loss: float | None = None


class Example(ReportModel):
    """One test row: the conversation, and what each model answered. None: no answer, or nothing to hold it against."""

    id: str
    messages: tuple[Message, ...]
    gold: str | None
    answers: dict[ModelRole, str | None]
    correct: dict[ModelRole, bool | None]


class Report(ReportModel):
    """One distillation, as its report tells it. `reference` says whose answers the test rows are held against."""

    title: str
    registered_model: str
    task: str
    test_rows: int
    reference: Literal["gold", "teacher"]
    headline: str
    verdict: GateDecision
    models: dict[ModelRole, ModelMetrics]
    retention: Interval
    gain: Interval
    stages: tuple[Stage, ...]
    usage: Usage
    training: dict[str, Any]
    curve: tuple[CurvePoint, ...]
    examples: tuple[Example, ...]
