"""The training loss: the weighted sum of the terms that a job names in `train.losses`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from azdistill.contracts.train import Divergence, LossWeights, TrainConfig
from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.losses.cross_entropy import cross_entropy_sum
from azdistill.training.losses.full_vocabulary import logit_divergence_sum
from azdistill.training.losses.top_k import top_k_divergence_sum


class TeacherStates(NamedTuple):
    """Final hidden states of a white-box teacher at N target tokens, shape (N, width), and its output layer.

    Its first `vocabulary` tokens are those of the student. `weight` multiplies the terms of this teacher.
    """

    hidden: Tensor
    head: nn.Linear
    transform: LogitTransform
    vocabulary: int
    weight: float


class Targets(NamedTuple):
    """The N target tokens of a batch, the weights of their rows (None: 1), and what teachers say of them.

    Shapes: `ids` and `weights` (N,), `top_ids` and `top_logprobs` (N, K). Of unknown likely tokens, all ids are -1.
    `on_policy` (N,) is true for tokens that the student has sampled; None if it sampled none. `self_teacher` scores
    them in place of `teachers`.
    """

    ids: Tensor
    weights: Tensor | None = None
    top_ids: Tensor | None = None
    top_logprobs: Tensor | None = None
    teachers: tuple[TeacherStates, ...] = ()
    on_policy: Tensor | None = None
    self_teacher: TeacherStates | None = None

    @property
    def of_sampled(self) -> tuple[TeacherStates, ...]:
        """The teachers whose states score sampled tokens."""
        return self.teachers if self.self_teacher is None else (self.self_teacher,)

    def at(self, mask: Tensor) -> "Targets":
        """The targets that a mask of shape (N,) selects."""

        def selected(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor[mask]

        def states(teacher: TeacherStates) -> TeacherStates:
            return teacher._replace(hidden=teacher.hidden[mask])

        return Targets(
            self.ids[mask],
            selected(self.weights),
            selected(self.top_ids),
            selected(self.top_logprobs),
            tuple(map(states, self.teachers)),
            self_teacher=self.self_teacher and states(self.self_teacher),
        )


@dataclass(frozen=True)
class TrainingObjective:
    """Computes the terms of the loss by name: sums over target tokens, in nats, multiplied by their weights.

    A target token whose likely tokens are unknown, such as the end of an answer, adds the weight of `top_k` to `text`:
    a student that learns from likely tokens only would never learn to end an answer.
    """

    config: TrainConfig

    @property
    def has_distributions(self) -> bool:
        """True if a term compares the student with more than a teacher's text."""
        return self.config.loss_weights.top_k > 0 or self.config.needs_white_box or self.config.on_policy is not None

    @property
    def reads_teacher_logits(self) -> bool:
        return self.config.loss_weights.logits > 0 or self.config.scores_by_white_box

    def __call__(
        self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform = NO_TRANSFORM
    ) -> dict[str, Tensor]:
        if targets.on_policy is not None:
            sampled, stored = targets.on_policy, ~targets.on_policy
            terms = self(hidden[stored], head, targets.at(stored), transform)
            return terms | self._on_policy(hidden[sampled], head, targets.at(sampled), transform)
        of_text = (self._top_k, self._logits, self._text)
        return {name: value for term in of_text for name, value in term(hidden, head, targets, transform).items()}

    def _text(self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform) -> dict[str, Tensor]:
        losses = self.config.loss_weights
        if losses == LossWeights():
            return {"text": cross_entropy_sum(hidden, head, targets.ids, targets.weights, transform)}
        if not (losses.text or losses.top_k):
            return {}
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

    def _logits(
        self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform
    ) -> dict[str, Tensor]:
        weight, config = self.config.loss_weights.logits, self.config
        if not weight:
            return {}
        divergence = (config.divergence, config.jsd_beta, config.distillation_temperature)
        return {"logits": _divergence_from(targets.teachers, hidden, head, targets, transform, weight, *divergence)}

    def _on_policy(
        self, hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform
    ) -> dict[str, Tensor]:
        settings = self.config.on_policy
        assert settings is not None
        divergence = (settings.divergence, settings.jsd_beta)
        if not self.config.has_scorer:
            return {
                "on_policy": _divergence_from(targets.of_sampled, hidden, head, targets, transform, 1.0, *divergence)
            }
        assert targets.top_ids is not None
        assert targets.top_logprobs is not None
        likely = (targets.top_ids, targets.top_logprobs, _row_weights(targets))
        return {"on_policy": top_k_divergence_sum(hidden, head, *likely, *divergence, transform=transform)}


TEXT_ONLY = TrainingObjective(TrainConfig())


def _divergence_from(
    teachers: Sequence[TeacherStates],
    hidden: Tensor,
    head: nn.Linear,
    targets: Targets,
    transform: LogitTransform,
    weight: float,
    divergence: Divergence,
    beta: float,
    temperature: float = 1.0,
) -> Tensor:
    divergences = [
        logit_divergence_sum(
            hidden,
            head,
            teacher.hidden,
            teacher.head,
            _row_weights(targets) * (weight * teacher.weight),
            divergence,
            beta,
            temperature,
            transform=transform,
            teacher_transform=teacher.transform,
            common_vocabulary=teacher.vocabulary,
        )
        for teacher in teachers
    ]
    return torch.stack(divergences).sum()


def _row_weights(targets: Targets) -> Tensor:
    return torch.ones(targets.ids.shape, device=targets.ids.device) if targets.weights is None else targets.weights
