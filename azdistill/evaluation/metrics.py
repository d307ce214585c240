"""The figures of the three models on the same held-out rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.results import MODEL_ROLES, Metrics, ModelMetrics, ModelRole
from azdistill.evaluation.answers import Reference, TestRow
from azdistill.evaluation.bleu import bleu
from azdistill.evaluation.intervals import PairedBootstrap, Rights, wilson
from azdistill.evaluation.scores import Score, reference_of, score
from azdistill.tasks.registry import task_of


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
    right = {who: _flags(scores, who, "correct") for who in MODEL_ROLES}
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    scored = len(right["student"])
    metrics = Metrics(
        task=config.task,
        reference=reference,
        rows=scored,
        unscored=len(rows) - scored,
        models={who: _model(who, rows, scores, reference, config.confidence) for who in MODEL_ROLES},
        retention=bootstrap.retention(right["student"], right["teacher"]),
        gain=bootstrap.gain(right["student"], right["baseline"]),
    )
    return Evaluation(metrics, scores)


def _model(
    who: ModelRole, rows: Sequence[TestRow], scores: Sequence[Score], reference: Reference, confidence: float
) -> ModelMetrics:
    right, agrees = _flags(scores, who, "correct"), _flags(scores, who, "agrees")
    scored = [row for row, found in zip(rows, scores, strict=True) if found.correct[who] is not None]
    score, signature = bleu([row.answers[who].text for row in scored], [_written(row, reference) for row in scored])
    return ModelMetrics(
        {
            "accuracy": wilson(int(right.sum()), len(right), confidence),
            "agreement": wilson(int(agrees.sum()), len(agrees), confidence),
            "bleu": score,
            "bleu_signature": signature,
            "answered": sum(found.says(who) is not None for found in scores),
        }
    )


def _flags(scores: Sequence[Score], who: ModelRole, field: str) -> Rights:
    flags = [getattr(found, field)[who] for found in scores]
    return np.array([flag for flag in flags if flag is not None], dtype=bool)


def _written(row: TestRow, reference: Reference) -> str:
    """The reference as it was written, which is what BLEU compares."""
    return row.gold or "" if reference == "gold" else row.answers["teacher"].text
