"""Cross entropy of target tokens, in chunks."""

from torch import Tensor, nn

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform, chunked_sum, ones_unless


def cross_entropy_sum(
    hidden: Tensor,
    head: nn.Linear,
    targets: Tensor,
    weights: Tensor | None = None,
    transform: LogitTransform = NO_TRANSFORM,
    chunk: int | None = None,
) -> Tensor:
    """Weighted sum of the cross entropies of `targets`, in nats, float32.

    The logits of all positions are never in memory together. `hidden` has shape (positions, width), `head.weight`
    (vocabulary, width), `targets` and `weights` (positions,). `chunk` is the number of positions whose logits exist at
    a time; None chooses it by CHUNK_BYTES. The result has a first derivative only.
    """
    targets, weights = targets.unsqueeze(-1), ones_unless(weights, hidden).unsqueeze(-1)

    def chunk_loss(logits: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        target_logits = logits.gather(-1, targets[part])
        # In place: another copy of these would double the memory of this function.
        largest = logits.amax(-1, keepdim=True)
        exponentials = logits.sub_(largest).exp_()
        sums = exponentials.sum(-1, keepdim=True)
        loss = (weights[part] * (sums.log() + largest - target_logits)).sum()
        softmax = exponentials.mul_(weights[part] / sums)
        return loss, softmax.scatter_add_(-1, targets[part], -weights[part])

    return chunked_sum(hidden, head, chunk_loss, transform, chunk)
