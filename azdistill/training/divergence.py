"""Stop a training whose loss or gradient is not finite, and name the rows that caused it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from accelerate.utils import gather_object
from transformers import TrainerCallback

from azdistill.contracts.errors import AzdistillError

LOGGED = ("loss", "grad_norm")

# Rows that a message names.
ROWS_NAMED = 8


@dataclass(frozen=True, order=True)
class FirstFailure:
    """The first value of a process that is not finite, and the rows of its batch.

    They sort in the order of their computation: the loss of a step (`is_gradient` false) before its gradient.
    """

    step: int
    is_gradient: bool
    value: float
    rows: tuple[str, ...]


class StopOnDivergence(TrainerCallback):
    """Raise AzdistillError when a loss or the gradient norm is not finite, before a checkpoint is saved.

    The trainer passes the loss of each batch and the gradient norm of each step. They stay on the GPU, and are read
    when a logged value is not finite: at most `logging_steps` later. `rows_of` returns names of the rows of a batch,
    from the step (the first is 1) and the number of the batch within the step, None for all batches of the step.
    """

    def __init__(self, rows_of: Callable[[int, int | None], Sequence[str]]) -> None:
        self._rows_of = rows_of
        self._values: list[tuple[int, int | None, torch.Tensor]] = []

    def add_loss(self, step: int, loss: torch.Tensor) -> None:
        """Keep the loss of the next batch of a step."""
        previous_step, batch = self._values[-1][:2] if self._values else (0, None)
        number = batch + 1 if previous_step == step and batch is not None else 0
        self._values.append((step, number, loss.detach()))

    def add_gradient_norm(self, step: int, norm: torch.Tensor | float) -> None:
        self._values.append((step, None, torch.as_tensor(norm).detach()))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if control.should_save:
            control.should_log = True  # checks the steps since the last log

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        logged = {name: logs[name] for name in LOGGED if name in (logs or {})}
        failed = next((name for name, value in logged.items() if not math.isfinite(value)), None)
        if failed is None:
            if "loss" in logged:
                self._values.clear()
            return
        # The loss of another process can be the first that is not finite.
        failures = gather_object([failure for failure in [self._first_failure()] if failure])
        if failures:
            raise _diverged(failures, args.learning_rate)
        raise _error(f"{failed} is {logged[failed]!r} at step {state.global_step}", args.learning_rate)

    def stop_validation(self, step: int, losses: Sequence[torch.Tensor], batches: Sequence[Sequence[str]]) -> NoReturn:
        """Raise AzdistillError for a validation with a loss that is not finite, here or in another process.

        `batches` are the names of their rows.
        """
        failed = next((number for number, loss in enumerate(losses) if not math.isfinite(loss.item())), None)
        rows = _listed(gather_object([] if failed is None else list(batches[failed])))
        raise AzdistillError(
            f"the validation loss is not finite after step {step}, in the batch with validation {rows}",
            code="not_finite_validation",
            fix="look at these rows, or lower train.learning_rate",
        )

    def _first_failure(self) -> FirstFailure | None:
        for step, batch, value in self._values:
            if not math.isfinite(value.item()):
                return FirstFailure(step, batch is None, value.item(), tuple(self._rows_of(step, batch)))
        return None


@contextmanager
def without_cudnn_attention() -> Iterator[None]:
    """Do not use cuDNN's attention inside the block.

    Its gradient is NaN for an attention mask and a length of 64 more than a multiple of 128, on H100 and H200 since
    torch 2.11. Source: https://github.com/pytorch/pytorch/issues/196678.
    """
    enabled = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(False)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(enabled)


def _diverged(failures: Sequence[FirstFailure], learning_rate: float) -> AzdistillError:
    """The error for the earliest failures: a gradient is the sum over the batches of all processes."""
    first = min(failures)
    same = [failure for failure in failures if (failure.step, failure.is_gradient) == (first.step, first.is_gradient)]
    rows = [row for failure in same for row in failure.rows]
    name = "the gradient norm" if first.is_gradient else "the loss"
    message = f"{name} is {first.value!r} at step {first.step}, in the batch with {_listed(rows)}"
    return _error(message, learning_rate, first.step)


def _listed(rows: Sequence[str]) -> str:
    more = f" and {len(rows) - ROWS_NAMED} more" if len(rows) > ROWS_NAMED else ""
    return ", ".join(rows[:ROWS_NAMED]) + more


def _error(message: str, learning_rate: float, step: int | None = None) -> AzdistillError:
    if step == 1:  # computed with the weights of the student's folder
        return AzdistillError(
            f"{message}: before the first update of the weights, so the learning rate is not the cause",
            code="not_finite_at_start",
            field=("train", "precision"),
            fix="check the student's weights and these rows, or set it to float32",
        )
    return AzdistillError(
        f"{message}: the student has diverged",
        field=("train", "learning_rate"),
        value=learning_rate,
        code="diverged",
        fix="lower it, or look at these rows",
    )
