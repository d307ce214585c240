"""Divergence of a student's distribution over tokens from a teacher's, with its gradient in closed form."""

import math
from typing import Literal

import torch
from torch import Tensor

Divergence = Literal["forward_kl", "reverse_kl", "jsd"]


def divergence_with_gradient(
    student: Tensor, teacher: Tensor, divergence: Divergence, beta: float = 0.5, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Divergence at each position, in nats, and its gradient with respect to `student`.

    `student` and `teacher` have shape (positions, classes): finite logits, or log probabilities, over the same classes.
    With q the student's and p the teacher's distribution:

    - forward_kl: KL(p || q)
    - reverse_kl: KL(q || p)
    - jsd: beta KL(p || m) + (1 - beta) KL(q || m), m = beta p + (1 - beta) q, the generalised Jensen-Shannon divergence
      of GKD (Agarwal et al. 2024, https://arxiv.org/abs/2306.13649), for 0 < beta < 1. Divided by beta it tends to
      KL(p || q) for beta to 0, and divided by 1 - beta to KL(q || p) for beta to 1.

    Both are divided by `temperature` first. The divergence is multiplied by its square, so that the size of the
    gradient does not depend on it (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).
    """
    log_q = torch.log_softmax(student / temperature, -1)
    log_p = torch.log_softmax(teacher / temperature, -1)
    values, gradient = _DIVERGENCES[divergence](log_q, log_p, beta)
    return values.mul_(temperature**2), gradient if temperature == 1 else gradient.mul_(temperature)


# These return the divergence, and its gradient with respect to the logits of q: q (h - sum q h), where h is the
# derivative with respect to q. They overwrite their arguments, because those of a large vocabulary are large.


def _forward_kl(log_q: Tensor, log_p: Tensor, _beta: float) -> tuple[Tensor, Tensor]:
    p = log_p.exp()
    values = log_p.sub_(log_q).mul_(p).sum(-1)
    return values, log_q.exp_().sub_(p)


def _reverse_kl(log_q: Tensor, log_p: Tensor, _beta: float) -> tuple[Tensor, Tensor]:
    q = log_q.exp()
    log_ratio = log_q.sub_(log_p)
    values = torch.mul(q, log_ratio, out=log_p).sum(-1)
    return values, log_ratio.sub_(values.unsqueeze(-1)).mul_(q)


def _jsd(log_q: Tensor, log_p: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    p, q = log_p.exp(), log_q.exp()
    of_teacher = log_p.sub_(log_m).mul_(p).sum(-1)
    log_ratio = log_q.sub_(log_m)
    of_student = torch.mul(q, log_ratio, out=p).sum(-1)
    gradient = log_ratio.sub_(of_student.unsqueeze(-1)).mul_(q).mul_(1 - beta)
    return beta * of_teacher + (1 - beta) * of_student, gradient


_DIVERGENCES = {"forward_kl": _forward_kl, "reverse_kl": _reverse_kl, "jsd": _jsd}
