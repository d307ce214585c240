"""Metrics of a training run: metrics.json, and the points of history.jsonl."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from azdistill.contracts.files import write_text
from azdistill.contracts.train import TrainConfig
from azdistill.students.usage import peak_memory_bytes
from azdistill.training.adapters import count_parameters
from azdistill.training.batches import TokenBudgetSampler
from azdistill.training.dataset import TokenizedRows
from azdistill.training.rollout_diagnostics import GENERATION_SHARE, ROLLOUT, SCORING_SHARE
from azdistill.training.trainer import LOSS_TERM, StudentTrainer, precision

# Name in Trainer's log -> name in history.jsonl.
HISTORY_NAMES = {"loss": "loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}

# The setting that ended the training.
Ending = Literal["num_epochs", "early_stopping"]


@dataclass(frozen=True)
class TrainingMetrics:
    """The content of metrics.json.

    Losses are nats a target token. `seconds` and `tokens_per_s` are of this process: a resumed training counts from
    where it resumed. `padding` is the share of padding in the batches, `supervised_tokens` counts the target tokens of
    all epochs. The student has the weights of `saved_step`, and `validation_loss` is theirs. `parameters` are those of
    the student, `trained_parameters` those that an optimizer step changes: fewer with adapters. `processes` trained
    together. `mlflow_run` is the id of the MLflow run that has the metrics, too. `loss_terms` are the last values of
    the terms of the loss, each multiplied by its weight, `on_policy` those of the diagnostics of the student's own
    answers: None without `train.on_policy`. `aligned_share` is the share of target tokens for which the
    teacher's likely tokens are known, None without `train.losses.top_k`.
    """

    train_rows: int
    validation_rows: int
    steps: int
    epochs: float
    supervised_tokens: int
    padding: float
    parameters: int
    trained_parameters: int
    method: str
    sharding: str
    processes: int
    device: str
    precision: str
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    train_loss: float | None
    validation_loss: float | None
    resumed_from_step: int
    saved_step: int
    ended_by: Ending
    mlflow_run: str | None
    loss_terms: dict[str, float]
    on_policy: dict[str, float] | None
    aligned_share: float | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def training_metrics(
    trainer: StudentTrainer,
    train_rows: TokenizedRows,
    validation_rows: TokenizedRows,
    config: TrainConfig,
    history: Sequence[dict[str, Any]],
    seconds: float,
    resumed_from_step: int,
    saved_step: int,
    ended_by: Ending,
    mlflow_run: str | None,
) -> TrainingMetrics:
    steps = trainer.state.global_step
    epochs = config.num_epochs if ended_by == "num_epochs" else trainer.state.epoch
    trained_here = (steps - resumed_from_step) / max(steps, 1)
    trained, parameters = count_parameters(trainer.model)
    tokens = int(train_rows.lengths.sum()) * epochs * trained_here
    return TrainingMetrics(
        train_rows=len(train_rows),
        validation_rows=len(validation_rows),
        steps=steps,
        epochs=round(epochs, 4),
        supervised_tokens=round(train_rows.num_target_tokens * epochs),
        padding=round(_padding(train_rows, config), 4),
        parameters=parameters,
        trained_parameters=trained,
        method=config.method,
        sharding=config.sharding,
        processes=trainer.args.world_size,
        device=trainer.args.device.type,
        precision=precision(config),
        seconds=round(seconds, 3),
        tokens_per_s=round(tokens / seconds, 1),
        peak_memory_bytes=peak_memory_bytes(),
        train_loss=_last(history, "loss"),
        validation_loss=_last([point for point in history if point["step"] <= saved_step], "validation_loss"),
        resumed_from_step=resumed_from_step,
        saved_step=saved_step,
        ended_by=ended_by,
        mlflow_run=mlflow_run,
        loss_terms=_last(history, "terms") or {},
        on_policy=_on_policy(history, trainer.state.log_history),
        aligned_share=round(train_rows.num_aligned_tokens / train_rows.num_target_tokens, 4)
        if config.loss_weights.top_k
        else None,
    )


def history_points(log_history: Sequence[dict[str, Any]], saved_step: int) -> list[dict[str, Any]]:
    """One point for each logged step, in order, from `TrainerState.log_history`.

    That of `saved_step`, whose weights the student has, is marked as saved.
    """
    points: dict[int, dict[str, Any]] = {}
    for entry in log_history:
        values = {name: entry[logged] for logged, name in HISTORY_NAMES.items() if logged in entry}
        for name, prefix in (("terms", LOSS_TERM), ("on_policy", ROLLOUT)):
            logged_values = {key.removeprefix(prefix): entry[key] for key in entry if key.startswith(prefix)}
            values |= {name: logged_values} if logged_values else {}
        if values:
            points.setdefault(entry["step"], {"step": entry["step"]}).update(values)
    if saved_step in points:
        points[saved_step]["saved"] = True
    return [points[step] for step in sorted(points)]


def write_history(path: Path, history: Sequence[dict[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_text(path, "".join(json.dumps(point) + "\n" for point in history))


def _padding(rows: TokenizedRows, config: TrainConfig) -> float:
    if config.packing:
        return 0.0
    lengths = rows.lengths
    steps = config.gradient_accumulation_steps
    batches = TokenBudgetSampler(lengths, config.batch_size, config.seed, accumulation_steps=steps)
    padded = sum(len(batch) * int(lengths[batch].max()) for batch in batches)
    return 1 - float(lengths.sum()) / padded


def _on_policy(history: Sequence[dict[str, Any]], log_history: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    last: dict[str, float] | None = _last(history, "on_policy")
    shares = {name: _last(log_history, name) for name in (GENERATION_SHARE, SCORING_SHARE)}
    return last and last | {name: share for name, share in shares.items() if share is not None}


def _last(history: Sequence[dict[str, Any]], name: str) -> Any:
    return next((point[name] for point in reversed(history) if name in point), None)
