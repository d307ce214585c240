"""Memory of training a student, measured without GPU, weights or data: the trainer's own step on torch's fake tensors.

Fake tensors have a shape, a type and no data (torch._subclasses.fake_tensor): each operator runs its shape function
only, so a step of a model of 15 billion weights takes seconds. They are on the CPU, where autograd works without CUDA;
the operators that the trainer calls are the same.
"""

import gc
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM, TrainerCallback, masking_utils

from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import Student, quiet_transformers
from azdistill.students.template import TokenizedRow
from azdistill.training import loss
from azdistill.training.adapters import add_adapters, base_dtype
from azdistill.training.dataset import TokenizedRows
from azdistill.training.losses.chunks import CHUNK_BYTES
from azdistill.training.memory_tracker import Kind, MemoryTracker
from azdistill.training.trainer import student_trainer

Device = Literal["cpu", "cuda"]
Peaks = Mapping[str, Mapping[Kind, int]]

# A token of the fake rows. All rows have the same tokens: their values are never read.
TOKEN = 1

aten = torch.ops.aten


def step_memory(
    architecture: Mapping[str, Any], config: TrainConfig, rows: int, length: int, device: Device = "cuda"
) -> Peaks:
    """Bytes by kind, at the largest sum in each part of an optimizer step: the forward and backward pass of each layer,
    the loss, the clipping of the gradients, the optimizer.

    `architecture` holds the fields of the student's config.json. The batch has `rows` rows of `length` tokens, all of
    which are targets but the first. The state of the optimizer exists, as after the first step.
    """
    model_config = AutoConfig.for_model(**architecture)
    config = config.model_copy(
        update={"batch_size": rows, "gradient_accumulation_steps": 1, "on_policy": None}
    ).resolved()
    tracker = _StepTracker(model_config.vocab_size, rows * (length - 1), device)
    data = TokenizedRows.of([TokenizedRow([TOKEN] * length, ((1, length),))] * rows)
    with _setup(device), FakeTensorMode(), tracker, tempfile.TemporaryDirectory() as folder:
        student = _student(model_config, config)
        step = _OneStep(tracker)
        trainer = student_trainer(student, data, TokenizedRows.of([]), config, Path(folder), "", [step])
        with loss.loss_in_forward(student.model), step.windows(trainer):
            trainer.train()
    return tracker.peaks


def peak_bytes(peaks: Peaks) -> int:
    """The largest sum."""
    return max(sum(kinds.values()) for kinds in peaks.values())


@contextmanager
def _setup(device: Device) -> Iterator[None]:
    """Run the same code for fake tensors as for real ones: chunks of the loss as on `device`, attention masks as for
    data.

    Garbage collection is off: it frees tensors in reference cycles at a time that differs between runs. They count to
    the end, as in every other run.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        with (
            quiet_transformers(),
            patch.dict(CHUNK_BYTES, {"cpu": CHUNK_BYTES[device]}),
            # It compares logits, and fake ones have no values.
            patch.object(loss, "has_known_logits", lambda _: True),
            # Without data, transformers makes a mask that no batch without packing has.
            patch.object(masking_utils, "is_tracing", lambda *_: False),
            # Fake weights are where they are trained, and torch cannot move them.
            patch.object(torch.nn.Module, "to", lambda module, *_, **__: module),
        ):
            yield
    finally:
        if collects:
            gc.enable()


class _StepTracker(MemoryTracker):  # type: ignore[no-untyped-call]
    """Counts memory that fake operators do not show: results whose size depends on data, and workspaces of CUDA.

    `targets` is the number of target tokens of a batch: the number of elements that a boolean mask selects.
    """

    def __init__(self, vocabulary: int, targets: int, device: Device) -> None:
        super().__init__(vocabulary)
        self._targets, self._device = targets, device

    def call(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if func is torch.ops.prim.device.default:  # most of all calls
            return args[0].fake_device
        if func is aten._local_scalar_dense.default:
            return args[0].dtype == torch.bool or 1
        if func is aten.nonzero.default:
            return args[0].new_empty((self._targets, args[0].dim()), dtype=torch.int64)
        if func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._index_put_impl_.default):
            args = (args[0], self._selected(args[1]), *args[2:])
        result = func(*args, **kwargs)
        if self._device == "cuda" and func is aten._scaled_dot_product_flash_attention_for_cpu_backward.default:
            # The kernels of CUDA sum the gradient of the queries in float32. Source: `dq_accum` in mha_bwd of
            # flash-attention, and `workspace` in _efficient_attention_backward of torch.
            self.count_workspace(4 * args[1].numel())
        return result

    def _selected(self, indices: Any) -> list[Any]:
        """Indices with the elements of each boolean mask in its place."""
        return [
            part
            for index in indices
            for part in (
                [index.new_empty((self._targets,), dtype=torch.int64)] * index.dim()
                if index is not None and index.dtype == torch.bool
                else [index]
            )
        ]


def _student(model_config: Any, config: TrainConfig) -> Student:
    """A student without data, and a tokenizer that only pads."""
    dtype = base_dtype(config)
    model = AutoModelForCausalLM.from_config(model_config, dtype=getattr(torch, dtype))
    student = Student(model, SimpleNamespace(pad_token_id=0))
    return add_adapters(student, config) if config.has_adapters else student


class _OneStep(TrainerCallback):
    """Ends the training after one step, whose memory is counted."""

    def __init__(self, tracker: MemoryTracker) -> None:
        self._tracker, self._is_backward = tracker, False

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, optimizer: Any, **_: Any) -> None:
        for weight in (*model.parameters(), *model.buffers()):
            self._tracker.set_kind(weight, "weights")
            if weight.requires_grad:
                weight.register_post_accumulate_grad_hook(self._at_gradient_of_weight)
        self._create_state(model, optimizer)
        self._tracker.peaks.clear()
        self._start("embeddings")

    def on_pre_optimizer_step(self, *_: Any, **__: Any) -> None:
        self._tracker.start_window("optimizer")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
        control.should_training_stop = True
        control.should_save = control.should_log = control.should_evaluate = False
        return control

    def _at_gradient_of_weight(self, weight: Any) -> None:
        self._tracker.set_kind(weight.grad, "gradients")

    def _create_state(self, model: Any, optimizer: Any) -> None:
        """Make the state that the optimizer has after the first step."""
        for weight in model.parameters():
            weight.grad = torch.empty_like(weight) if weight.requires_grad else None
        optimizer.step()
        model.zero_grad()
        for state in optimizer.optimizer.state.values():
            for tensor in state.values():
                if isinstance(tensor, torch.Tensor):
                    self._tracker.set_kind(tensor, "optimizer")

    def _start(self, name: str) -> None:
        self._tracker.start_window(f"{'backward' if self._is_backward else 'forward'}, {name}")

    @contextmanager
    def windows(self, trainer: Any) -> Iterator[None]:
        """Count the forward and the backward pass of each layer apart.

        Memory is linear in the size of the batch within a layer, and not over all of them: activations are freed while
        gradients appear.
        """
        backward = trainer.accelerator.backward

        def start_backward(*arguments: Any, **options: Any) -> None:
            self._is_backward = True
            self._start("loss")
            backward(*arguments, **options)
            self._tracker.start_window("gradient clipping")

        trainer.accelerator.backward = start_backward
        layers = decoder_layers(trainer.model)
        hooks = [
            hook
            for number, layer in enumerate(layers, start=1)
            for hook in (
                # With gradient checkpointing, the forward pass runs again in the backward pass.
                layer.register_forward_pre_hook(lambda *_, name=f"layer {number}": self._start(name)),
                layer.register_forward_hook(partial(self._at_gradient_of_layer, f"layer {number}")),
            )
        ]
        hooks.append(layers[-1].register_forward_hook(lambda *_: None if self._is_backward else self._start("loss")))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _at_gradient_of_layer(self, name: str, _layer: Any, _inputs: Any, output: Any) -> None:
        """Start the window of a layer's backward pass when the gradient of its output is there."""
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.requires_grad and not self._is_backward:
            hidden.register_hook(lambda _: self._start(name))


def decoder_layers(model: Any) -> torch.nn.ModuleList:
    """The decoder layers: the longest list of modules."""
    lists = [module for module in model.modules() if isinstance(module, torch.nn.ModuleList)]
    return max(lists, key=len)
