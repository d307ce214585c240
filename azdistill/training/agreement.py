"""Agreement of a student with its teacher on sampled tokens: a diagnostic of on-policy distillation."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.training.losses.chunks import NO_TRANSFORM, LogitTransform
from azdistill.training.objective import Targets

# Most likely tokens that are compared, and positions of a forward pass at which they are.
TOP_TOKENS, MOST_POSITIONS = 16, 64


@torch.no_grad()
def agreement_sums(
    hidden: Tensor,
    head: nn.Linear,
    targets: Targets,
    transform: LogitTransform = NO_TRANSFORM,
    *,
    of_likely_tokens: bool = False,
) -> dict[str, Tensor]:
    """Sums over the first sampled tokens, and their number `positions`.

    `overlap` is the share of the teacher's TOP_TOKENS most likely tokens that are among the student's, `shared_mass`
    the probability that the student gives to the teacher's. The teacher is the first one of `targets.of_sampled`. With
    `of_likely_tokens` it is that of `targets.top_ids`: it has K tokens at most, and `teacher_mass` is the probability
    that it gives to all K.
    """
    assert targets.on_policy is not None
    sampled = targets.on_policy.nonzero()[:MOST_POSITIONS, 0]
    logits = transform(_logits(hidden[sampled], head))
    sums = {"positions": torch.tensor(float(len(sampled)), device=hidden.device)}
    if of_likely_tokens:
        assert targets.top_ids is not None
        assert targets.top_logprobs is not None
        of_teacher = targets.top_ids[sampled, :TOP_TOKENS].long()
        sums["teacher_mass"] = targets.top_logprobs[sampled].exp().sum()
    else:
        teacher = targets.of_sampled[0]
        logits = logits[:, : teacher.vocabulary]
        teacher_logits = teacher.transform(_logits(teacher.hidden[sampled], teacher.head))[:, : teacher.vocabulary]
        of_teacher = teacher_logits.topk(min(TOP_TOKENS, logits.shape[1])).indices
    is_used = of_teacher >= 0
    of_student = logits.topk(of_teacher.shape[1]).indices
    shared = (of_student[:, :, None] == of_teacher[:, None]).any(1).sum(1) / is_used.sum(1).clamp(min=1)
    mass = (logits.softmax(-1).gather(1, of_teacher.clamp(min=0)) * is_used).sum()
    return {"overlap": shared.sum(), "shared_mass": mass, **sums}


def _logits(hidden: Tensor, head: nn.Linear) -> Tensor:
    return functional.linear(hidden.to(head.weight.dtype), head.weight, head.bias).float()
