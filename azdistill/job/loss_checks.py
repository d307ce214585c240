"""Terms of the training loss that need what the job does not have."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from azdistill.contracts.problems import Problem
from azdistill.engine.pipeline.labels import unsafe_path, unversioned_asset
from azdistill.job.scorer_section import SCORING_TEACHERS

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

WHITE_BOX_LOSSES = ("logits", "hidden_states", "attention")


def loss_problems(job: "DistillationJob") -> Iterator[Problem]:
    """The errors for terms of `train.losses` whose input the job does not have, and for white-box teachers."""
    yield from _log_probabilities(job)
    yield from _white_box(job)
    yield from _addresses(job)


def _log_probabilities(job: "DistillationJob") -> Iterator[Problem]:
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


def _white_box(job: "DistillationJob") -> Iterator[Problem]:
    """Losses without a teacher, and teachers without a loss, whose memory would be used for nothing."""
    losses = job.train.loss_weights
    for name in WHITE_BOX_LOSSES:
        if not job.white_box and (weight := getattr(losses, name)):
            yield Problem(
                code="missing_teacher",
                message="needs a model that is loaded next to the student",
                fix="name its folder in section white_box; for a teacher behind an endpoint, use top_k",
                field=("train", "losses", name),
                value=weight,
            )
    by_white_box = job.train.scores_by_white_box and job.scorer is None
    if by_white_box and not job.white_box:
        yield Problem(
            code="missing_teacher",
            message="needs a teacher that scores given tokens, which serverless endpoints do not",
            fix=f"{SCORING_TEACHERS}; for a serverless endpoint, set teacher to self, or use losses.top_k instead",
            field=("train", "on_policy"),
        )
    if job.white_box and not (losses.needs_white_box or by_white_box):
        message, fix = _unused(job)
        yield Problem(code="unused_teacher", message=message, fix=fix, field=("white_box",))


def _unused(job: "DistillationJob") -> tuple[str, str]:
    """The reason for which nothing reads section white_box, and the fix."""
    if job.train.is_self_taught:
        message = "no loss uses it, and the student scores its own answers (train.on_policy.teacher is self)"
        return message, "set train.losses.logits or train.on_policy.teacher to auto, or remove white_box"
    if job.train.on_policy:
        message = "no loss uses it, and section scorer scores the sampled answers"
        return message, "set train.losses.logits, or remove white_box or scorer"
    return "no loss uses it", "set train.losses.logits or train.on_policy, or remove white_box"


def _addresses(job: "DistillationJob") -> Iterator[Problem]:
    for index, teacher in enumerate(job.white_box):
        field, path = ("white_box", index, "model"), teacher.model
        if (name := unversioned_asset(path)) is not None:
            message, fix = "Azure ML requires a version", f"write azureml:{name.rstrip(':@')}:VERSION"
            yield Problem(code="missing_version", message=message, fix=fix, field=field, value=path)
        elif path.startswith("azureml://") and (reason := unsafe_path(path)):
            fix = "write the path without them"
            yield Problem(code="unsafe_path", message=reason, fix=fix, field=field, value=path)
