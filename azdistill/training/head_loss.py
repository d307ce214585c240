"""Cross entropy inside a causal language model: of target positions only, and in chunks.

The logits of a batch are positions times vocabulary: 26 GB in float32 for 32,768 positions and the 200,064 tokens of
Phi-4-mini. Here they exist for a few positions at a time. The gradient is computed in closed form with the loss, as in
cut cross entropy (https://arxiv.org/abs/2411.09009) and Liger Kernel (https://arxiv.org/abs/2410.10989).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.training.batches import IGNORE_INDEX

# Bytes of the float32 logits of one chunk. A GPU needs large matrices to be busy.
CHUNK_BYTES = {"cpu": 100_000_000, "cuda": 500_000_000}

# Tokens of the row on which a model's logits are compared with those computed here.
COMPARED_TOKENS = 8

Forward = Callable[..., Any]


class LogitTransform(NamedTuple):
    """The function of some architectures after the output layer: `softcap * tanh(scale * logits / softcap)`."""

    scale: float = 1.0
    softcap: float | None = None

    def __call__(self, logits: Tensor) -> Tensor:
        """The transformed logits, in place."""
        if self.scale != 1.0:
            logits.mul_(self.scale)
        if self.softcap is not None:
            logits.div_(self.softcap).tanh_().mul_(self.softcap)
        return logits

    def derivative(self, transformed: Tensor) -> Tensor | float:
        """The derivative with respect to the logits, at the transformed ones."""
        if self.softcap is None:
            return self.scale
        return (transformed / self.softcap).square_().neg_().add_(1.0).mul_(self.scale)


def logit_transform(config: Any) -> LogitTransform:
    """The transform of an architecture, from its config: Granite and Cohere scale the logits, Gemma 2 caps them."""
    divisor = getattr(config, "logits_scaling", None) or 1.0
    factor = getattr(config, "logit_scale", None) or 1.0
    return LogitTransform(float(factor) / float(divisor), getattr(config, "final_logit_softcapping", None))


@contextmanager
def loss_in_forward(model: Any) -> Iterator[None]:
    """Let `model(input_ids, labels=..., num_items_in_batch=...)` return {"loss": ...} inside the block.

    The loss is the sum of the cross entropies, in nats, of the tokens that `labels` names, divided by
    `num_items_in_batch`, or by their number. `labels` has the shape of `input_ids`, (rows, length). `model` is a causal
    language model, or a PeftModel of one. The output layer is called as a module, so that FSDP and ZeRO-3 gather its
    weights. Models whose logits are computed in a way that is not known here get the loss from all their logits.
    """
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    forward: Forward = causal_lm.forward
    head = causal_lm.get_output_embeddings()
    if _computes_the_logits_of(causal_lm, head):
        transform = logit_transform(causal_lm.config)
        plain: Forward = head.forward

        def head_forward(hidden: Tensor, targets: Tensor | None = None) -> Tensor:
            return plain(hidden) if targets is None else cross_entropy_sum(hidden, head, targets, transform)

        def loss_sum(labels: Tensor, inputs: dict[str, Any]) -> Tensor:
            hidden, targets = _supervised(causal_lm.base_model(**inputs, use_cache=False)[0], labels)
            result: Tensor = head(hidden, targets)
            return result

        head.forward = head_forward
    else:

        def loss_sum(labels: Tensor, inputs: dict[str, Any]) -> Tensor:
            logits, targets = _supervised(forward(**inputs, use_cache=False).logits, labels)
            return functional.cross_entropy(logits.float(), targets, reduction="sum")

    def forward_with_loss(*arguments: Any, labels: Tensor | None = None, num_items_in_batch: Any = None, **inputs: Any):  # type: ignore[no-untyped-def]
        if labels is None:
            return forward(*arguments, **inputs)
        count = num_target_tokens(labels) if num_items_in_batch is None else num_items_in_batch
        return {"loss": loss_sum(labels, {name: value for name, value in inputs.items() if value is not None}) / count}

    causal_lm.forward = forward_with_loss
    try:
        yield
    finally:
        del causal_lm.forward
        vars(head).pop("forward", None)


def num_target_tokens(labels: Tensor) -> Tensor:
    return (labels[:, 1:] != IGNORE_INDEX).sum()


def cross_entropy_sum(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    transform: LogitTransform = LogitTransform(),  # noqa: B008
    chunk: int | None = None,
) -> Tensor:
    """Sum of the cross entropies of `targets`, float32, without the logits of all positions at once.

    `hidden` has shape (positions, width), `head.weight` (vocabulary, width), `targets` (positions,). `chunk` is the
    number of positions whose logits exist at a time; None chooses it by CHUNK_BYTES. Twice differentiable it is not.
    """
    if chunk is None:
        largest = max(CHUNK_BYTES[hidden.device.type] // (4 * head.weight.shape[0]), 1)
        chunk = math.ceil(len(targets) / math.ceil(len(targets) / largest)) if len(targets) else 1
    result: Tensor = _CrossEntropySum.apply(hidden, head.weight, head.bias, targets, transform, chunk)  # type: ignore[no-untyped-call]
    return result


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        transform: LogitTransform,
        chunk: int,
    ) -> Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        gradients = [
            torch.zeros_like(tensor) if tensor is not None and needed else None
            for tensor, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3], strict=True)
        ]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(device, enabled=False):
            inputs, matrix = hidden.to(dtype), weight.to(dtype)
            for start in range(0, len(targets), chunk):
                part = slice(start, start + chunk)
                total += _chunk(inputs[part], matrix, bias, targets[part], transform, part, gradients)
        ctx.gradients = gradients
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # Without another reference, autograd takes these tensors as `weight.grad` and copies nothing.
        gradients, ctx.gradients = ctx.gradients, None
        return (*(None if gradient is None else gradient.mul_(grad_output) for gradient in gradients), None, None, None)


def _chunk(
    inputs: Tensor,
    matrix: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    transform: LogitTransform,
    part: slice,
    gradients: list[Tensor | None],
) -> Tensor:
    """The loss of one chunk. Adds its gradients to `gradients`: of the hidden states, the weight and the bias."""
    logits = functional.linear(inputs, matrix, None if bias is None else bias.to(matrix.dtype)).float()
    logits = transform(logits)
    target_logits = logits.gather(-1, targets.unsqueeze(-1))
    derivative = transform.derivative(logits)
    at_targets = derivative.gather(-1, targets.unsqueeze(-1)) if isinstance(derivative, Tensor) else derivative
    # In place: another copy of these would double the memory of this function.
    largest = logits.amax(-1, keepdim=True)
    exponentials = logits.sub_(largest).exp_()
    sums = exponentials.sum(-1, keepdim=True)
    loss = (sums.log().add_(largest) - target_logits).sum()
    # The gradient of the logits is (softmax - one-hot) * derivative. The softmax is normalized, and the one-hot
    # subtracted, in the products, which are much smaller.
    exponentials = exponentials.mul_(derivative).to(matrix.dtype)
    of_hidden, of_weight, of_bias = gradients
    if of_hidden is not None:
        of_hidden[part] = (exponentials @ matrix) / sums - matrix[targets] * at_targets
    if of_weight is not None:
        _add_product(of_weight, exponentials.t(), (inputs / sums).to(inputs.dtype))
        of_weight.index_add_(0, targets, (inputs * -at_targets).to(of_weight.dtype))
    if of_bias is not None:
        of_bias.add_((exponentials / sums).sum(0)).index_add_(
            0, targets, of_bias.new_full(targets.shape, -1.0) * at_targets
        )
    return loss


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to `total`, without a copy of its size where the types agree."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _supervised(states: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The states (rows, length, width) before each target token as (targets, width), and the targets."""
    targets = labels[:, 1:]
    is_target = targets != IGNORE_INDEX
    return states[:, :-1][is_target], targets[is_target]


@torch.no_grad()
def _computes_the_logits_of(causal_lm: Any, head: Any) -> bool:
    """True if the logits of `causal_lm` are those of its output layer, transformed as its config says."""
    if not isinstance(head, nn.Linear) or causal_lm.base_model is causal_lm:
        return False
    vocabulary, training = head.weight.shape[0], causal_lm.training
    ids = torch.arange(COMPARED_TOKENS, device=head.weight.device).remainder(vocabulary).unsqueeze(0)
    causal_lm.eval()
    expected = causal_lm(input_ids=ids, use_cache=False).logits.float()
    hidden = causal_lm.base_model(input_ids=ids, use_cache=False)[0]
    computed = logit_transform(causal_lm.config)(head(hidden).float())
    causal_lm.train(training)
    return torch.allclose(expected, computed, rtol=1e-3, atol=1e-3)
