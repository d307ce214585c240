"""train.on_policy in a job: it needs a teacher that scores, and its settings are a small file."""

from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.train import OnPolicy
from azdistill.job.bundle import pipeline_document
from azdistill.job.memory import training_of
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

ON_POLICY = {"share": 0.5, "rollouts": 2}
SELF = ON_POLICY | {"teacher": "self"}


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
        ({"on_policy": SELF}, [{"model": "azureml:big:1"}], ("unused_teacher", ("white_box",))),
        ({"on_policy": SELF, "packing": True}, [], ("incompatible_fields", ("train",))),
        ({"on_policy": SELF, "sharding": "deepspeed"}, [], ("incompatible_fields", ("train",))),
        ({"on_policy": SELF, "float32_master_weights": False}, [], ("incompatible_fields", ("train",))),
        ({"on_policy": SELF | {"teacher_decay": 1.5}}, [], ("out_of_range", ("train", "on_policy", "teacher_decay"))),
    ],
)
def test_on_policy_that_a_job_cannot_have(train: Any, white_box: Any, problem: Any) -> None:
    with pytest.raises(SpecError) as caught:
        job(train, white_box)
    assert problem in [(found.code, found.field) for found in caught.value.problems]


def test_self_distillation_needs_no_other_model_and_may_have_one_for_stored_text() -> None:
    assert plan(job({"on_policy": SELF}, [])).files["on_policy"].content["teacher"] == "self"
    job({"on_policy": SELF, "losses": {"text": 0.5, "logits": 0.5}}, [{"model": "azureml:big:1"}])


@pytest.mark.parametrize(
    ("settings", "decay", "billions"),
    [({"method": "full"}, 0.9, 3.84), ({"method": "full"}, 0, 0), ({"method": "lora"}, 0.9, 0.023)],
)
def test_the_memory_of_self_distillation_is_counted(settings: Any, decay: float, billions: float) -> None:
    """A float32 copy of the trained weights, and a forward pass."""
    without, with_self = training_of(job(settings, [])), training_of(job({**settings, "on_policy": SELF}, []))
    assert without
    assert with_self
    on_policy = OnPolicy(**SELF, teacher_decay=decay)
    memory, other = with_self.with_settings(on_policy=on_policy).memory(), without.memory()
    assert memory
    assert other
    assert memory.total_gb - other.total_gb == pytest.approx(4 * billions + 1, rel=0.01)
