"""The figures of the three models on the same held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.task import TaskChoice
from azdistill.evaluation.answers import WHO, Reference, TestRow, Who
from azdistill.evaluation.bleu import bleu
from azdistill.evaluation.intervals import Interval, PairedBootstrap, Rights, wilson
from azdistill.evaluation.scores import Score, reference_of, score
from azdistill.tasks.registry import task_of


@dataclass(frozen=True)
class ModelMetrics:
    """One model. `agreement` is with the teacher, on the rows that the teacher answered; `answered` counts
    the rows with a whole answer that says something in the task; BLEU is 0 to 100."""

    accuracy: Interval
    agreement: Interval
    bleu: float
    bleu_signature: str
    answered: int


@dataclass(frozen=True)
class Metrics:
    """What metrics.json holds. `rows` were scored; `unscored` had nothing to be held against.

    `reference` says what rows are held against: the user's reference answers, or
    the teacher's answers when no test row has one. Retention and gain compare the
    student with teacher and baseline on the same rows.
    """

    task: TaskChoice
    reference: Reference
    rows: int
    unscored: int
    models: dict[Who, ModelMetrics]
    retention: Interval
    gain: Interval


@dataclass(frozen=True)
class Evaluation:
    """The figures, and the score of each test row in order."""

    metrics: Metrics
    scores: tuple[Score, ...]


def evaluate(rows: Sequence[TestRow], config: EvaluateConfig, task_file: Path | None = None) -> Evaluation:
    """Score every row and sum up. An answer that is missing, cut off or says nothing is wrong.

    Raises InputError for a `task_file` that is no task.
    """
    task, reference = task_of(config.task, task_file), reference_of(rows)
    scores = tuple(score(row, task, reference) for row in rows)
    right = {who: _flags(scores, who, "correct") for who in WHO}
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    scored = len(right["student"])
    metrics = Metrics(
        task=config.task,
        reference=reference,
        rows=scored,
        unscored=len(rows) - scored,
        models={who: _model(who, rows, scores, reference, config.confidence) for who in WHO},
        retention=bootstrap.retention(right["student"], right["teacher"]),
        gain=bootstrap.gain(right["student"], right["baseline"]),
    )
    return Evaluation(metrics, scores)


def _model(
    who: Who, rows: Sequence[TestRow], scores: Sequence[Score], reference: Reference, confidence: float
) -> ModelMetrics:
    right, agrees = _flags(scores, who, "correct"), _flags(scores, who, "agrees")
    scored = [row for row, found in zip(rows, scores, strict=True) if found.correct[who] is not None]
    score, signature = bleu([row.answers[who].text for row in scored], [_written(row, reference) for row in scored])
    return ModelMetrics(
        accuracy=wilson(int(right.sum()), len(right), confidence),
        agreement=wilson(int(agrees.sum()), len(agrees), confidence),
        bleu=score,
        bleu_signature=signature,
        answered=sum(found.says(who) is not None for found in scores),
    )


def _flags(scores: Sequence[Score], who: Who, field: str) -> Rights:
    flags = [getattr(found, field)[who] for found in scores]
    return np.array([flag for flag in flags if flag is not None], dtype=bool)


def _written(row: TestRow, reference: Reference) -> str:
    """The reference as it was written, which is what BLEU compares."""
    return row.gold or "" if reference == "gold" else row.answers["teacher"].text
