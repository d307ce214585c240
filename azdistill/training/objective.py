"""The training loss: the weighted sum of the terms that a job names in `train.losses`."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from azdistill.contracts.train import LossWeights, TrainConfig
from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.losses.cross_entropy import cross_entropy_sum
from azdistill.training.losses.top_k import top_k_divergence_sum


class Targets(NamedTuple):
    """The N target tokens of a batch, the weights of their rows (None: 1), and a teacher's likely tokens there.

    Shapes: `ids` and `weights` (N,), `top_ids` and `top_logprobs` (N, K). Of unknown likely tokens, all ids are -1.
    """

    ids: Tensor
    weights: Tensor | None = None
    top_ids: Tensor | None = None
    top_logprobs: Tensor | None = None


@dataclass(frozen=True)
class TrainingObjective:
    """Computes the terms of the loss by name: sums over target tokens, in nats, multiplied by their weights.

    A target token whose likely tokens are unknown, such as the end of an answer, adds the weight of `top_k` to `text`:
    a student that learns from likely tokens only would never learn to end an answer.
    """

    config: TrainConfig

    @property
    def has_distributions(self) -> bool:
        """True if a term compares distributions over the vocabulary."""
        return self.config.loss_weights.top_k > 0

    def __call__(
        self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform = NO_TRANSFORM
    ) -> dict[str, Tensor]:
        return self._top_k(hidden, head, targets, transform) | self._text(hidden, head, targets, transform)

    def _text(self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform) -> dict[str, Tensor]:
        losses = self.config.loss_weights
        if losses == LossWeights():
            return {"text": cross_entropy_sum(hidden, head, targets.ids, targets.weights, transform)}
        is_unknown = True if targets.top_ids is None else targets.top_ids[:, 0] < 0
        weights = _row_weights(targets) * (losses.text + losses.top_k * is_unknown)
        used = slice(None) if losses.text else weights > 0
        return {"text": cross_entropy_sum(hidden[used], head, targets.ids[used], weights[used], transform)}

    def _top_k(self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform) -> dict[str, Tensor]:
        if not self.config.loss_weights.top_k or targets.top_ids is None or targets.top_logprobs is None:
            return {}
        divergence = top_k_divergence_sum(
            hidden,
            head,
            targets.top_ids,
            targets.top_logprobs,
            _row_weights(targets) * self.config.loss_weights.top_k,
            self.config.divergence,
            self.config.jsd_beta,
            transform=transform,
        )
        return {"top_k": divergence}


TEXT_ONLY = TrainingObjective(TrainConfig())


def _row_weights(targets: Targets) -> Tensor:
    return torch.ones(targets.ids.shape, device=targets.ids.device) if targets.weights is None else targets.weights
