"""What a training reached, and what it took."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from azdistill.contracts.train import TrainConfig
from azdistill.students.template import Encoded
from azdistill.students.usage import parameters, peak_memory_bytes
from azdistill.training.batches import TokenBudgetSampler
from azdistill.training.setup import precision
from azdistill.training.trainer import StudentTrainer


@dataclass(frozen=True)
class TrainingFigures:
    """What metrics.json holds. Losses are nats a learned token, seconds and tokens are of this process's
    part: a resumed training counts from where it went on. `padding` is the part of batches that is padding."""

    train_rows: int
    validation_rows: int
    steps: int
    epochs: float
    supervised_tokens: int
    padding: float
    parameters: int
    device: str
    precision: str
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    train_loss: float | None
    validation_loss: float | None
    resumed_from_step: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def training_figures(
    trainer: StudentTrainer,
    rows: Sequence[Encoded],
    held: Sequence[Encoded],
    config: TrainConfig,
    points: Sequence[dict[str, Any]],
    seconds: float,
    resumed_from: int,
) -> TrainingFigures:
    done = (trainer.state.global_step - resumed_from) / max(trainer.state.global_step, 1)
    tokens = sum(len(row.ids) for row in rows) * config.num_epochs * done
    return TrainingFigures(
        train_rows=len(rows),
        validation_rows=len(held),
        steps=trainer.state.global_step,
        epochs=config.num_epochs,
        supervised_tokens=round(sum(row.learned for row in rows) * config.num_epochs),
        padding=round(_padding(rows, config), 4),
        parameters=parameters(trainer.model),
        device=trainer.args.device.type,
        precision=precision(config),
        seconds=round(seconds, 3),
        tokens_per_s=round(tokens / seconds, 1),
        peak_memory_bytes=peak_memory_bytes(),
        train_loss=_last(points, "loss"),
        validation_loss=_last(points, "validation_loss"),
        resumed_from_step=resumed_from,
    )


def _padding(rows: Sequence[Encoded], config: TrainConfig) -> float:
    lengths = [len(row.ids) for row in rows]
    batches = list(TokenBudgetSampler(lengths, config.batch_size, config.seed))
    padded = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
    return 1 - sum(lengths) / padded


def _last(points: Sequence[dict[str, Any]], name: str) -> float | None:
    found = [point[name] for point in points if name in point]
    return found[-1] if found else None
