"""Agreement of a student with a white-box teacher on sampled tokens: a diagnostic of on-policy distillation."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.objective import Targets

# Most likely tokens that are compared, and positions of a forward pass at which they are.
TOP_TOKENS, MOST_POSITIONS = 16, 64


@torch.no_grad()
def agreement_sums(
    hidden: Tensor, head: nn.Linear, targets: Targets, transform: LogitTransform = NO_TRANSFORM
) -> dict[str, Tensor]:
    """Sums over the first sampled tokens, and their number `positions`.

    `overlap` is the share of the teacher's TOP_TOKENS most likely tokens that are among the student's, `shared_mass`
    the probability that the student gives to the teacher's. The teacher is the first one.
    """
    assert targets.on_policy is not None
    sampled = targets.on_policy.nonzero()[:MOST_POSITIONS, 0]
    teacher = targets.teachers[0]
    student_logits = transform(_logits(hidden[sampled], head))[:, : teacher.vocabulary]
    teacher_logits = teacher.transform(_logits(teacher.hidden[sampled], teacher.head))[:, : teacher.vocabulary]
    top = min(TOP_TOKENS, student_logits.shape[1])
    own, others = student_logits.topk(top).indices, teacher_logits.topk(top).indices
    return {
        "overlap": (own[:, :, None] == others[:, None]).any(1).float().mean(1).sum(),
        "shared_mass": student_logits.softmax(-1).gather(1, others).sum(),
        "positions": torch.tensor(float(len(sampled)), device=hidden.device),
    }


def _logits(hidden: Tensor, head: nn.Linear) -> Tensor:
    return functional.linear(hidden.to(head.weight.dtype), head.weight, head.bias).float()
