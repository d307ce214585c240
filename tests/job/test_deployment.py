"""Section `deployment`: it changes no step and no pipeline, and plan shows what it costs and needs."""

from typing import Any

import pytest

from azdistill.job.advice import advice
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan, step_configs
from azdistill.job.serving import PlannedServing, planned_serving

ENDPOINT = {"endpoint_name": "support"}


def job_with(deployment: dict[str, Any] | None, **sections: Any) -> DistillationJob:
    values = {
        "task": "qa",
        "data": {"training_data": "azureml:rows:1"},
        "teacher": {"teachers": [{"model": "m", "connection": "deepseek"}]},
        "student": {"model": "phi-4-mini"},
        "deployment": deployment,
        **sections,
    }
    return DistillationJob.model_validate(values)


def test_it_changes_neither_a_step_nor_the_pipeline() -> None:
    deployed = job_with({**ENDPOINT, "autoscale": {"max_instances": 3}, "smoke_rows": 5})
    without = job_with(None)
    assert pipeline_document(plan(deployed)) == pipeline_document(plan(without))
    assert step_configs(deployed) == step_configs(without)


def test_plan_knows_the_price_and_the_memory_of_the_vms() -> None:
    scaled = {**ENDPOINT, "autoscale": {"min_instances": 2, "max_instances": 4}}
    planned = planned_serving(job_with(scaled, prices={"serving_hour": 3.5}))
    assert planned == PlannedServing("support", "Standard_NC24ads_A100_v4", 2, 4, 1, 7.0, planned.weights_gb, 80, True)
    assert planned.weights_gb == pytest.approx(7.68, abs=0.1)
    unknown = planned_serving(job_with({**ENDPOINT, "instance_type": "Standard_NC1new_v9"}))
    assert (unknown.hour_price, unknown.gpu_gb, unknown.fits) == (None, None, None)
    assert planned_serving(job_with(None)) is None


@pytest.mark.parametrize(
    ("deployment", "code"),
    [
        ({"instance_type": "Standard_NV12ads_A10_v5"}, "exceeds_gpu_memory"),
        ({"instance_type": "Standard_NC4as_T4_v3"}, "no_bfloat16"),
        ({"instance_type": "Standard_NC1new_v9"}, "unknown_vm_size"),
        ({"max_model_length": 1_000_000}, "exceeds_context"),
    ],
)
def test_advice_about_the_vm_and_the_length(deployment: dict[str, Any], code: str) -> None:
    job = job_with(ENDPOINT | deployment)
    assert code in {problem.code for problem in advice(job) if problem.field[0] == "deployment"}
    assert not [problem for problem in advice(job_with(ENDPOINT)) if problem.field[0] == "deployment"]
