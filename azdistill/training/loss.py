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


NO_TRANSFORM = LogitTransform()


def logit_transform(config: Any) -> LogitTransform:
    """The transform of an architecture, from its config: Granite and Cohere scale the logits, Gemma 2 caps them."""
    divisor = getattr(config, "logits_scaling", None) or 1.0
    factor = getattr(config, "logit_scale", None) or 1.0
    return LogitTransform(float(factor) / float(divisor), getattr(config, "final_logit_softcapping", None))


@contextmanager
def loss_in_forward(model: Any) -> Iterator[None]:
    """Let `model(input_ids, labels=..., num_items_in_batch=...)` return {"loss": ...} inside the block.

    The loss is the sum of the cross entropies, in nats, of the target tokens divided by `num_items_in_batch`, or by
    their number. `labels` has the shape (rows, length) of `input_ids`, and is IGNORE_INDEX where a token is no target;
    `loss_weights`, of the same shape, multiplies the cross entropy of each target. `model` is a causal language model,
    or a PeftModel of one. The output layer is called as a module, so that FSDP and ZeRO-3 gather its weights. A model
    whose logits are not those of its output layer, as its config says, gets the loss from all its logits.
    """
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    forward: Forward = causal_lm.forward
    head = causal_lm.get_output_embeddings()
    is_known = _computes_the_logits_of(causal_lm, head)
    if is_known:
        plain_head: Forward = head.forward
        transform = logit_transform(causal_lm.config)

        def head_forward(hidden: Tensor, targets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
            if targets is None:
                logits: Tensor = plain_head(hidden)
                return logits
            return cross_entropy_sum(hidden, head, targets, weights, transform)

        head.forward = head_forward

    def loss_sum(inputs: dict[str, Any], labels: Tensor, loss_weights: Tensor | None) -> Tensor:
        states = causal_lm.base_model(**inputs, use_cache=False)[0] if is_known else forward(**inputs).logits
        is_target = labels[:, 1:] != IGNORE_INDEX
        states, targets = states[:, :-1][is_target], labels[:, 1:][is_target]
        weights = None if loss_weights is None else loss_weights[:, 1:][is_target]
        result: Tensor = head(states, targets, weights) if is_known else _plain_sum(states, targets, weights)
        return result

    def forward_with_loss(
        *arguments: Any,
        labels: Tensor | None = None,
        loss_weights: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **inputs: Any,
    ) -> Any:
        if labels is None:
            return forward(*arguments, **inputs)
        used = {name: value for name, value in inputs.items() if value is not None}
        count = num_target_tokens(labels) if num_items_in_batch is None else num_items_in_batch
        return {"loss": loss_sum(used, labels, loss_weights) / count}

    causal_lm.forward = forward_with_loss
    try:
        yield
    finally:
        del causal_lm.forward
        if is_known:
            del head.forward


def num_target_tokens(labels: Tensor) -> Tensor:
    """Number of positions with a target, but for the first of a row, which nothing predicts."""
    return (labels[:, 1:] != IGNORE_INDEX).sum()


def cross_entropy_sum(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    weights: Tensor | None = None,
    transform: LogitTransform = NO_TRANSFORM,
    chunk: int | None = None,
) -> Tensor:
    """Weighted sum of the cross entropies of `targets`, in nats, float32, without the logits of all positions at once.

    `hidden` has shape (positions, width), `head.weight` (vocabulary, width), `targets` and `weights` (positions,).
    `chunk` is the number of positions whose logits exist at a time; None chooses it by CHUNK_BYTES. The result has a
    first derivative only.
    """
    if chunk is None:
        largest = max(CHUNK_BYTES[hidden.device.type] // (4 * head.weight.shape[0]), 1)
        chunk = math.ceil(len(targets) / math.ceil(len(targets) / largest)) if len(targets) else 1
    if weights is None:
        weights = hidden.new_ones(len(targets), dtype=torch.float32)
    result: Tensor = _CrossEntropySum.apply(hidden, head.weight, head.bias, targets, weights, transform, chunk)  # type: ignore[no-untyped-call]
    return result


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        weights: Tensor,
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
                total += _chunk(inputs[part], matrix, bias, targets[part], weights[part], transform, part, gradients)
        ctx.gradients = gradients
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # Without another reference, autograd takes these tensors as `weight.grad` and copies nothing.
        gradients, ctx.gradients = ctx.gradients, None
        return (*(None if gradient is None else gradient.mul_(grad_output) for gradient in gradients), *[None] * 4)


def _chunk(
    inputs: Tensor,
    matrix: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    weights: Tensor,
    transform: LogitTransform,
    part: slice,
    gradients: list[Tensor | None],
) -> Tensor:
    """The loss of one chunk. Adds its gradients to `gradients`: of the hidden states, the weight and the bias."""
    logits = functional.linear(inputs, matrix, None if bias is None else bias.to(matrix.dtype)).float()
    logits = transform(logits)
    target_logits = logits.gather(-1, targets.unsqueeze(-1))
    derivative = transform.derivative(logits)
    of_targets = derivative.gather(-1, targets.unsqueeze(-1)) if isinstance(derivative, Tensor) else derivative
    # In place: another copy of these would double the memory of this function.
    largest = logits.amax(-1, keepdim=True)
    exponentials = logits.sub_(largest).exp_()
    sums = exponentials.sum(-1, keepdim=True)
    weights = weights.unsqueeze(-1)
    loss = (weights * (sums.log().add_(largest) - target_logits)).sum()
    # The gradient of the logits is weight * derivative * (softmax - one-hot). The exponentials are normalized, and the
    # one-hot is subtracted, in the products: these are much smaller.
    exponentials = exponentials.mul_(derivative).to(matrix.dtype)
    of_softmax, of_one_hot = weights / sums, weights * -of_targets
    of_hidden, of_weight, of_bias = gradients
    if of_hidden is not None:
        of_hidden[part] = (exponentials @ matrix) * of_softmax + matrix[targets] * of_one_hot
    if of_weight is not None:
        _add_product(of_weight, exponentials.t(), (inputs * of_softmax).to(matrix.dtype))
        of_weight.index_add_(0, targets, (inputs * of_one_hot).to(of_weight.dtype))
    if of_bias is not None:
        _add_product(of_bias.unsqueeze(-1), exponentials.t(), of_softmax.to(matrix.dtype))
        of_bias.index_add_(0, targets, of_one_hot.squeeze(-1).to(of_bias.dtype))
    return loss


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to `total`, without a copy of its size where the types agree."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _plain_sum(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    losses = functional.cross_entropy(logits.float(), targets, reduction="none")
    return losses.sum() if weights is None else losses @ weights


def separates_packed_rows(model: Any) -> bool:
    """True if the model sees by `position_ids` where a row starts. State-space and convolution layers do not."""
    first, second = _first_ids(model), _first_ids(model).flip(-1)
    packed = torch.cat([first, second], dim=-1)
    positions = torch.arange(COMPARED_TOKENS, device=packed.device).repeat(2).unsqueeze(0)
    with _evaluated(model):
        alone = model(input_ids=second, use_cache=False).logits
        together = model(input_ids=packed, position_ids=positions, use_cache=False).logits[:, COMPARED_TOKENS:]
    return _are_close(alone, together)


def _computes_the_logits_of(causal_lm: Any, head: Any) -> bool:
    """True if the logits of `causal_lm` are those of its output layer, transformed as its config says."""
    if not isinstance(head, nn.Linear) or causal_lm.base_model is causal_lm:
        return False
    ids = _first_ids(causal_lm)
    with _evaluated(causal_lm):
        logits = causal_lm(input_ids=ids, use_cache=False).logits
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False)[0]
        return _are_close(logits, logit_transform(causal_lm.config)(head(hidden).float()))


def _first_ids(model: Any) -> Tensor:
    vocabulary = model.get_input_embeddings().weight.shape[0]
    return torch.arange(COMPARED_TOKENS, device=model.device).remainder(vocabulary).unsqueeze(0)


def _are_close(logits: Tensor, others: Tensor) -> bool:
    tolerance = 1e-3 if logits.dtype == torch.float32 else 5e-2
    return torch.allclose(logits.float(), others.float(), rtol=tolerance, atol=tolerance)


@contextmanager
def _evaluated(model: Any) -> Iterator[None]:
    """Without dropout and gradients inside the block."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
