"""The content of report.json: everything that the HTML page, the Markdown page and the console show."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.manifest import Manifest
from azdistill.contracts.results import GateDecision, Interval, ModelMetrics, ModelRole, ReferenceSource, Usage
from azdistill.contracts.rows import Message


class ReportModel(BaseModel):
    """Base of the report's models: immutable; unknown fields are ignored."""

    model_config = ConfigDict(frozen=True)


class Stage(ReportModel):
    """Rows after a step. `left_behind` counts the rows that the step removed, by reason."""

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
    """One test row with the answer of each model (None: no answer).

    `gold` has a line for each reference. `correct` is None without a reference. `scores` are those of the primary
    metric.
    """

    id: str
    messages: tuple[Message, ...]
    gold: str | None
    answers: dict[ModelRole, str | None]
    correct: dict[ModelRole, bool | None]
    scores: dict[ModelRole, float | None] = {}


class Report(ReportModel):
    """One distillation. `steps` are the manifests of the steps by name: files, configs, code and versions."""

    title: str
    registered_model: str
    task: str
    test_rows: int
    reference: ReferenceSource
    primary_metric: str = "accuracy"
    primary_reason: str = ""
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
    steps: dict[str, Manifest] = {}
