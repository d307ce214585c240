"""Losses of the logits of an output layer, which exist for a few positions at a time.

The logits of a batch are positions times vocabulary: 26 GB in float32 for 32,768 positions and the 200,064 tokens of
Phi-4-mini. The gradient is computed in closed form with the loss, as in cut cross entropy
(https://arxiv.org/abs/2411.09009) and Liger Kernel (https://arxiv.org/abs/2410.10989).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# Bytes of the float32 logits of one chunk. A GPU needs large matrices to be busy.
CHUNK_BYTES = {"cpu": 100_000_000, "cuda": 500_000_000}

# Loss of one chunk, and its gradient with respect to the logits, from float32 logits of shape (positions, vocabulary)
# and the positions of the chunk. May overwrite the logits, and return the gradient in their memory.
ChunkLoss = Callable[[Tensor, slice], tuple[Tensor, Tensor]]


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


def chunked_sum(
    hidden: Tensor,
    head: nn.Linear,
    chunk_loss: ChunkLoss,
    transform: LogitTransform = NO_TRANSFORM,
    chunk: int | None = None,
    vocabulary: int | None = None,
    logits_per_token: int = 1,
) -> Tensor:
    """Sum over chunks of the positions of `chunk_loss`, float32, with the gradients of the hidden states and `head`.

    `hidden` has shape (positions, width). `chunk_loss` gets the transformed logits of the first `vocabulary` tokens,
    None for all. `chunk` is the number of positions whose logits exist at a time; None chooses it by CHUNK_BYTES, for a
    loss that needs `logits_per_token` times their memory. The result has a first derivative only.
    """
    vocabulary = len(head.weight) if vocabulary is None else vocabulary
    if chunk is None:
        chunk = _chunk_size(len(hidden), 4 * vocabulary * logits_per_token, hidden.device.type)
    tensors: tuple[Tensor, Tensor, Tensor | None] = (hidden, head.weight, head.bias)
    if not torch.is_grad_enabled():  # ctx.needs_input_grad is true for parameters also then
        tensors = (hidden.detach(), head.weight.detach(), None if head.bias is None else head.bias.detach())
    result: Tensor = _ChunkedSum.apply(*tensors, chunk_loss, transform, chunk, vocabulary)  # type: ignore[no-untyped-call]
    return result


def ones_unless(weights: Tensor | None, hidden: Tensor) -> Tensor:
    """Weights of the positions of `hidden`, float32: 1 if None."""
    return hidden.new_ones(len(hidden), dtype=torch.float32) if weights is None else weights.float()


def _chunk_size(positions: int, position_bytes: int, device: str) -> int:
    """Positions of a chunk: as many in each, with at most CHUNK_BYTES."""
    largest = max(CHUNK_BYTES[device] // position_bytes, 1)
    return math.ceil(positions / math.ceil(positions / largest)) if positions else 1


class _ChunkedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        chunk_loss: ChunkLoss,
        transform: LogitTransform,
        chunk: int,
        vocabulary: int,
    ) -> Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        gradients = [
            torch.zeros_like(tensor) if tensor is not None and needed else None
            for tensor, needed in zip((hidden, weight, bias), ctx.needs_input_grad[:3], strict=True)
        ]
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(device, enabled=False):
            inputs, matrix = hidden.to(dtype), weight[:vocabulary].to(dtype)
            offset = None if bias is None else bias[:vocabulary].to(dtype)
            for start in range(0, len(hidden), chunk):
                part = slice(start, start + chunk)
                logits = transform(functional.linear(inputs[part], matrix, offset).float())
                derivative = None if transform == NO_TRANSFORM else transform.derivative(logits)
                loss, gradient = chunk_loss(logits, part)
                total += loss
                del logits
                gradient = gradient if derivative is None else gradient.mul_(derivative)
                _add_gradients(gradients, gradient.to(dtype), inputs, matrix, part)
                del gradient, derivative
        ctx.gradients = gradients
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        # Without another reference, autograd takes these tensors as `weight.grad` and copies nothing.
        gradients, ctx.gradients = ctx.gradients, None
        return (*(None if gradient is None else gradient.mul_(grad_output) for gradient in gradients), *[None] * 4)


def _add_gradients(
    gradients: list[Tensor | None], of_logits: Tensor, inputs: Tensor, matrix: Tensor, part: slice
) -> None:
    """Add the gradients of a chunk to those of the hidden states, the weight and the bias."""
    of_hidden, of_weight, of_bias = gradients
    if of_hidden is not None:
        of_hidden[part] = of_logits @ matrix
    if of_weight is not None:
        _add_product(of_weight[: len(matrix)], of_logits.t(), inputs[part])
    if of_bias is not None:
        of_bias[: len(matrix)] += of_logits.sum(0)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to `total`, without a copy of its size where the types agree."""
    if total.dtype == left.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)
