"""Terms of the training loss that need what the job does not have."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from azdistill.contracts.problems import Problem

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def loss_problems(job: "DistillationJob") -> Iterator[Problem]:
    """The errors for terms of `train.losses` whose input no step writes."""
    weight = job.train.loss_weights.top_k
    if not weight:
        return
    if job.teacher.completions is not None:
        message, fix = "imported completions have no log probabilities", "remove top_k"
    elif not job.teacher.top_logprobs:
        message, fix = "needs the teacher's log probabilities", "set teacher.top_logprobs, for example to 20"
    else:
        return
    yield Problem(code="missing_logprobs", message=message, fix=fix, field=("train", "losses", "top_k"), value=weight)
