"""train.on_policy in a job: it needs a white-box teacher, and its settings are a small file."""

from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

ON_POLICY = {"share": 0.5, "rollouts": 2}


def job(train: dict[str, Any], white_box: list[dict[str, Any]]) -> DistillationJob:
    return DistillationJob.model_validate(
        {
            "task": "conversation",
            "data": {"training_data": "rows.jsonl", "test_data": "rows.jsonl"},
            "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]},
            "student": {"model": "phi-4-mini"},
            "white_box": white_box,
            "train": train,
        }
    )


def test_the_settings_are_an_input_of_train_only() -> None:
    planned = plan(job({"on_policy": ON_POLICY}, [{"model": "azureml:big:1"}]))
    nodes = pipeline_document(planned)["jobs"]
    assert [name for name, node in nodes.items() if "on_policy" in node["inputs"]] == ["train"]
    assert planned.files["on_policy"].content["start_fraction"] == 0.3


@pytest.mark.parametrize(
    ("train", "white_box", "problem"),
    [
        ({"on_policy": ON_POLICY}, [], ("missing_teacher", ("train", "on_policy"))),
        ({"on_policy": {"share": 0}}, [], ("out_of_range", ("train", "on_policy", "share"))),
        ({"on_policy": ON_POLICY, "packing": True}, [{"model": "azureml:big:1"}], ("incompatible_fields", ("train",))),
        ({}, [{"model": "azureml:big:1"}], ("unused_teacher", ("white_box",))),
    ],
)
def test_on_policy_that_a_job_cannot_have(train: Any, white_box: Any, problem: Any) -> None:
    with pytest.raises(SpecError) as caught:
        job(train, white_box)
    assert problem in [(found.code, found.field) for found in caught.value.problems]
