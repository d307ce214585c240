"""Divergence from a teacher of whom only the log probabilities of the K most likely tokens are known, in chunks."""

import torch
from torch import Tensor, nn

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform, chunked_sum, ones_unless
from azdistill.training.losses.divergences import Divergence, divergence_with_gradient

# Logit of a class that a position does not have: its probability is 0, and its differences are finite.
UNUSED = -1e30

# Stored log probabilities of float16 may sum to more than 1. The teacher's tail has at least the resolution of float32.
SMALLEST_TAIL = torch.finfo(torch.float32).eps


def top_k_divergence_sum(
    hidden: Tensor,
    head: nn.Linear,
    teacher_ids: Tensor,
    teacher_logprobs: Tensor,
    weights: Tensor | None = None,
    divergence: Divergence = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    transform: LogitTransform = NO_TRANSFORM,
    chunk: int | None = None,
) -> Tensor:
    """Weighted sum of the divergences of the student from stored top-K log probabilities, in nats, float32.

    `hidden` has shape (positions, width), `weights` (positions,), `teacher_ids` and `teacher_logprobs` (positions, K):
    ids of the student's vocabulary, different ones at a position and fewer than the vocabulary has, and natural
    logarithms. An entry is unused if its id is -1 or its log probability -inf. A position without other entries has
    divergence 0.

    Both distributions have K + 1 classes: the listed tokens, and the tail with all other tokens. Without the tail, a
    student could give most of its probability to other tokens. The divergence of the classes is at most that over the
    vocabulary, and equal to it if both divide the tail's probability in the same way. A `temperature` other than 1 is
    applied to the K + 1 classes of both, the tail as one class: how the teacher divides its tail is unknown, so this is
    not the divergence over the vocabulary at that temperature. See `divergence_with_gradient` for the divergences, and
    `cross_entropy_sum` for `chunk`.
    """
    weights = ones_unless(weights, hidden)
    is_used = (teacher_ids >= 0) & (teacher_logprobs > -torch.inf)
    teacher = _with_tail(teacher_logprobs.float().masked_fill(~is_used, UNUSED))
    # Unused entries repeat the largest id of their position, and add 0 to its gradient.
    last = teacher_ids.masked_fill(~is_used, -1).amax(-1, keepdim=True).clamp(min=0)
    ids = torch.where(is_used, teacher_ids, last)

    def chunk_loss(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        listed = logits.gather(-1, ids[part]).masked_fill_(~is_used[part], UNUSED)
        others = logits.scatter_(-1, ids[part], UNUSED)
        largest = others.amax(-1, keepdim=True)
        exponentials = others.sub_(largest).exp_()
        sums = exponentials.sum(-1, keepdim=True)
        classes = torch.cat([listed, sums.log() + largest], -1)
        values, gradient = divergence_with_gradient(classes, teacher[part], divergence, beta, temperature)
        gradient.mul_(weights[part].unsqueeze(-1))
        # The logit of the tail is the logarithm of the sum over its tokens: each has its share of the gradient.
        of_tail = exponentials.mul_(gradient[:, -1:] / sums)
        return weights[part] @ values, of_tail.scatter_add_(-1, ids[part], gradient[:, :-1])

    return chunked_sum(hidden, head, chunk_loss, transform, chunk)


def _with_tail(logprobs: Tensor) -> Tensor:
    """Log probabilities of the listed tokens, then of the tail."""
    tail = (1 - logprobs.exp().sum(-1, keepdim=True)).clamp(min=SMALLEST_TAIL).log()
    return torch.cat([logprobs, tail], -1)
