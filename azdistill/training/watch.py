"""What ends a training early: a student that diverges, and a machine that is taken away."""

import math
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.errors import AzdistillError

WATCHED = ("loss", "grad_norm", "eval_loss")


class RefuseNonFinite(TrainerCallback):
    """Raises AzdistillError at the first loss or gradient that is no number, before it is saved."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:
            control.should_log = True  # so that the steps since the last log are looked at

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        for name in WATCHED:
            if not math.isfinite(value := (logs or {}).get(name, 0.0)):
                raise AzdistillError(
                    f"training: {name} is {value!r} at step {state.global_step}, the student has diverged; "
                    f"lower train.learning_rate={args.learning_rate!r}"
                )


class StopWhenAsked(TrainerCallback):
    """Once asked, the step in progress ends, a checkpoint is written, and training stops."""

    def __init__(self) -> None:
        self.asked = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False  # the grace time is short

    @contextmanager
    def by_sigterm(self, world: int) -> Iterator[None]:
        """While this lasts, SIGTERM asks. Azure ML sends it before it takes a low-priority node away.

        Several processes would each stop at a step of its own and wait for the others: they end at once,
        and go on from their last checkpoint.
        """
        if world > 1 or threading.current_thread() is not threading.main_thread():  # Python hears signals there only
            yield
            return
        before = signal.signal(signal.SIGTERM, self._ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _ask(self, number: int, frame: Any) -> None:
        self.asked = True
