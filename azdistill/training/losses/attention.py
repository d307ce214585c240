"""Attention of a student's layers compared with that of a teacher's layers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from azdistill.training.losses.hidden_states import LayerMap

SMALLEST = torch.finfo(torch.float32).tiny


def attention_loss_sum(
    student_attentions: Sequence[Tensor], teacher_attentions: Sequence[Tensor], layers: LayerMap, weights: Tensor
) -> Tensor:
    """Weighted sum over positions of KL(teacher || student) of their attention, mean over `layers`, in nats, float32.

    The attentions are those that transformers returns with `output_attentions`: for each layer the probabilities, of
    shape (rows, heads, length, length), with which a position attends to itself and earlier ones, for the same tokens.
    Later ones have probability 0 and do not count. The distributions are the means over the heads, as the models may
    have different numbers of them; MiniLM (Wang et al. 2020, https://arxiv.org/abs/2002.10957) compares each head.
    `weights` has shape (rows, length), and is 0 or False where a position does not count. The attention must be
    computed with attn_implementation="eager", because others return none.
    """
    counts = weights != 0
    divergences = []
    for student_layer, teacher_layer in layers.items():
        student = student_attentions[student_layer - 1].float().mean(1)[counts]
        teacher = teacher_attentions[teacher_layer - 1].detach().float().mean(1)[counts]
        cross_entropies = -teacher * student.clamp(min=SMALLEST).log()
        divergences.append((torch.xlogy(teacher, teacher) + cross_entropies).sum(-1))
    return weights[counts].float() @ torch.stack(divergences).mean(0)
