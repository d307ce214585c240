"""train.losses: the inputs that its terms add to the bundle, and jobs that cannot have them."""

from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

TEACHER = {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]}


def job(losses: dict[str, float] | None = None, **teacher: Any) -> DistillationJob:
    return DistillationJob.model_validate(
        {
            "task": "conversation",
            "data": {"training_data": "rows.jsonl", "test_data": "rows.jsonl"},
            "teacher": TEACHER | teacher,
            "student": {"model": "phi-4-mini"},
            "train": {"losses": losses},
        }
    )


def test_only_train_reads_the_log_probabilities_which_the_teacher_must_return() -> None:
    text, top_k = (
        pipeline_document(plan(job(losses, top_logprobs=20))) for losses in (None, {"text": 0.5, "top_k": 0.5})
    )
    changed = {
        (node, name): value
        for node, content in top_k["jobs"].items()
        for name, value in content["inputs"].items()
        if text["jobs"][node]["inputs"].get(name) != value
    }
    assert changed == {
        ("teacher", "require_logprobs"): True,
        ("train", "completions"): "${{parent.jobs.teacher.outputs.completions}}",
        ("train", "losses"): "${{parent.inputs.losses}}",
    }
    assert set(top_k["inputs"]) - set(text["inputs"]) == {"losses"}


@pytest.mark.parametrize(
    ("losses", "teacher", "problem"),
    [
        ({"top_k": 1}, {}, ("missing_logprobs", ("train", "losses", "top_k"), 1.0)),
        ({"top_k": 1}, {"completions": "rows.jsonl"}, ("missing_logprobs", ("train", "losses", "top_k"), 1.0)),
        ({"text": 0}, {}, ("incompatible_fields", ("train", "losses"), None)),
        ({"top_k": -1}, {"top_logprobs": 5}, ("out_of_range", ("train", "losses", "top_k"), -1)),
    ],
)
def test_losses_that_a_job_cannot_have(losses: dict[str, float], teacher: dict[str, Any], problem: Any) -> None:
    with pytest.raises(SpecError) as caught:
        job(losses, **teacher)
    assert [(found.code, found.field, found.value) for found in caught.value.problems] == [problem]
