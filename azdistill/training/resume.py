"""Find where an interrupted training continues, in the main process for all."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from azdistill.contracts.train import TrainConfig
from azdistill.training.callbacks import has_stopped_early
from azdistill.training.checkpoints import find_best, last_checkpoint, step_of

T = TypeVar("T")

logger = logging.getLogger("azdistill.training")


@dataclass(frozen=True)
class StartingPoint:
    """The checkpoint to resume, None for a new training.

    With `is_finished` the training had stopped early there. With `has_lost_best` the weights with the lowest validation
    loss do not exist any more.
    """

    checkpoint: Path | None = None
    is_finished: bool = False
    has_lost_best: bool = False

    @property
    def step(self) -> int:
        return step_of(self.checkpoint) if self.checkpoint else 0


def find_start(folder: Path, inputs_hash: str, other_jobs: Sequence[Path], config: TrainConfig) -> StartingPoint:
    """The newest undamaged checkpoint in `folder`, or in the folders of other jobs with the same inputs."""
    checkpoint = last_checkpoint(folder, inputs_hash, other_jobs)
    if checkpoint is None:
        return StartingPoint()
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    best = state.best_global_step if config.keep_best else None
    has_lost_best = best is not None and find_best(folder, inputs_hash, best, checkpoint) is None
    if has_lost_best:
        logger.warning("train: the best weights, of step %d, are missing or damaged; later ones are compared", best)
    is_finished = state.global_step < state.max_steps and has_stopped_early(
        state.log_history, config.early_stopping_patience
    )
    return StartingPoint(checkpoint, is_finished, has_lost_best)


def from_main_process(compute: Callable[[], T]) -> T:
    """The result of `compute` in the main process, in all processes: each could see other files."""
    results = broadcast_object_list([compute() if PartialState().is_main_process else None])
    result: T = results[0]
    return result


class ForgetBest(TrainerCallback):
    """Forget the best step of the checkpoint that the training is resumed from."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        state.best_metric = state.best_global_step = None
