"""Divergence from a teacher whose hidden states and output layer are in memory, in chunks."""

from torch import Tensor, nn
from torch.nn import functional

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform, chunked_sum, ones_unless
from azdistill.training.losses.divergences import Divergence, divergence_with_gradient

# Float32 values of a token that exist at a time: the logits and log probabilities of both models, and their products.
VALUES_PER_TOKEN = 6


def logit_divergence_sum(
    hidden: Tensor,
    head: nn.Linear,
    teacher_hidden: Tensor,
    teacher_head: nn.Linear,
    weights: Tensor | None = None,
    divergence: Divergence = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    transform: LogitTransform = NO_TRANSFORM,
    teacher_transform: LogitTransform = NO_TRANSFORM,
    common_vocabulary: int | None = None,
    chunk: int | None = None,
) -> Tensor:
    """Weighted sum of the divergences of the student's distribution over tokens from the teacher's, in nats, float32.

    `hidden` and `teacher_hidden` have shapes (positions, width of the student) and (positions, width of the teacher),
    `weights` (positions,). The teacher gets no gradient, and its logits are computed in the type of its states. Both
    distributions are over the first `common_vocabulary` ids, which must be the same tokens: output layers of one family
    are padded to different sizes. None: all ids, of output layers of the same size. See `divergence_with_gradient` for
    the divergences, `cross_entropy_sum` for `chunk`.
    """
    weights = ones_unless(weights, hidden)
    states = teacher_hidden.detach()
    matrix = teacher_head.weight.detach()[:common_vocabulary].to(states.dtype)
    bias = None if teacher_head.bias is None else teacher_head.bias.detach()[:common_vocabulary].to(states.dtype)

    def chunk_loss(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        teacher = teacher_transform(functional.linear(states[part], matrix, bias).float())
        values, gradient = divergence_with_gradient(logits, teacher, divergence, beta, temperature)
        return weights[part] @ values, gradient.mul_(weights[part].unsqueeze(-1))

    return chunked_sum(hidden, head, chunk_loss, transform, chunk, common_vocabulary, VALUES_PER_TOKEN)
