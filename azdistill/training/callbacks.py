"""Trainer callbacks: log progress, stop on a diverging loss, and save and stop on SIGTERM."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.progress import Progress


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
            self._progress.advance(note=self._loss)


class StopOnDivergence(TrainerCallback):
    """Raise AzdistillError when a loss or the gradient norm is not finite, before a checkpoint is saved."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:
            control.should_log = True  # checks the steps since the last log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name, 0.0)
            if not math.isfinite(value):
                raise AzdistillError(
                    f"{name} is {value!r} at step {state.global_step}: the student has diverged",
                    field=("train", "learning_rate"),
                    value=args.learning_rate,
                    code="diverged",
                    fix="lower it",
                )


class SaveAndStopOnSigterm(TrainerCallback):
    """Finish the current step, save a checkpoint and stop once SIGTERM has arrived.

    Azure ML sends SIGTERM before it preempts a low-priority node.
    """

    def __init__(self) -> None:
        self._received = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._received:
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
        self._received = True
