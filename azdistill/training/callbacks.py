"""Trainer callbacks: log progress, save by time and by step, stop early, and save and stop on SIGTERM."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list
from transformers import TrainerCallback

from azdistill.contracts.progress import Progress
from azdistill.contracts.train import TrainConfig
from azdistill.training.checkpoints import checkpoint_path, is_foreign


class LogProgress(TrainerCallback):
    """Log `train: 120/400 (9.6/s, 29 s left) loss 0.42` every two seconds."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._loss = ""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress = Progress("train", state.max_steps - state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self._loss = f"loss {float(logs['loss']):.3f}"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._progress and state.is_world_process_zero:
            self._progress.advance(note=lambda: self._loss)


class SaveOnSchedule(TrainerCallback):
    """Save a checkpoint every `checkpoint_steps` steps and every `checkpoint_minutes`, besides those of Trainer.

    All processes must save after the same step. The main process reads the clock, and broadcasts the number of steps
    until the next broadcast, half of those that the remaining time allows: one after each step would make every GPU
    wait.
    """

    def __init__(self, config: TrainConfig, inputs_hash: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds = config.checkpoint_steps, 60 * config.checkpoint_minutes
        self._inputs_hash, self._clock = inputs_hash, clock

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = self._saved = self._clock()
        self._first_step, self._next_broadcast = state.global_step, state.global_step + 1

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._steps and state.global_step % self._steps == 0:
            control.should_save = True
        if state.global_step < self._next_broadcast:
            return
        steps_to_wait = self._steps_to_wait(args, state.global_step) if args.process_index == 0 else None
        (steps,) = broadcast_object_list([steps_to_wait])
        self._next_broadcast = state.global_step + max(steps, 1)
        if steps == 0:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = self._clock()

    def _steps_to_wait(self, args: Any, step: int) -> int:
        """The number of steps until the next broadcast, 0: save now."""
        now = self._clock()
        remaining = self._saved + self._seconds - now
        if remaining <= 0:
            return int(is_foreign(checkpoint_path(Path(args.output_dir), step), self._inputs_hash))
        seconds_per_step = (now - self._started) / (step - self._first_step)
        return max(int(remaining / max(seconds_per_step, 1e-6) / 2), 1) if args.world_size > 1 else 1


class StopEarly(TrainerCallback):
    """Stop when the validation loss has not fallen for `patience` validations in a row."""

    def __init__(self, patience: int) -> None:
        self._patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if has_stopped_early(state.log_history, self._patience):
            control.should_training_stop = control.should_save = True


def has_stopped_early(log_history: Sequence[dict[str, Any]], patience: int | None) -> bool:
    """True if the last `patience` validations are not better than the best one before them.

    It depends on Trainer's log alone, which a checkpoint has, too.
    """
    losses = [entry["eval_loss"] for entry in log_history if "eval_loss" in entry]
    return bool(losses and patience) and len(losses) - 1 - losses.index(min(losses)) >= (patience or 0)


class SaveAndStopOnSigterm(TrainerCallback):
    """Finish the current step, save a checkpoint and stop once SIGTERM has arrived.

    Azure ML sends SIGTERM before it preempts a low-priority node.
    """

    def __init__(self, inputs_hash: str) -> None:
        self.received = False
        self._inputs_hash = inputs_hash

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.received and not is_foreign(
            checkpoint_path(Path(args.output_dir), state.global_step), self._inputs_hash
        ):
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False  # the grace period is short

    @contextmanager
    def handle_signal(self, world_size: int) -> Iterator[None]:
        """Handle SIGTERM inside the block.

        Not with several processes: each would stop at another step and wait for the others. They end immediately and
        resume from their last checkpoint.
        """
        # Python delivers signals to the main thread only.
        if world_size > 1 or threading.current_thread() is not threading.main_thread():
            yield
            return
        previous = signal.signal(signal.SIGTERM, self._on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, previous)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.received = True
