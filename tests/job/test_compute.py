"""Shape and bounds of the steps on Azure ML: what the section `compute` emits, and its invalid combinations."""

from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.contracts.problems import dotted
from azdistill.job.advice import advice
from azdistill.job.bundle import pipeline_document
from azdistill.job.estimates import planned_nodes
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.run_settings import MAX_SPOT_TIMEOUT_S, TIMEOUTS_S
from tests.job.test_advice import BASE

ONE_GPU, FOUR_GPUS = "Standard_NC24ads_A100_v4", "Standard_NC96ads_A100_v4"


def job(**compute: Any) -> DistillationJob:
    return DistillationJob.model_validate(BASE | {"compute": compute})


def pipeline(**compute: Any) -> dict[str, Any]:
    return pipeline_document(plan(job(**compute)))


def nodes(**compute: Any) -> dict[str, dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = pipeline(**compute)["jobs"]
    return jobs


def warnings(**compute: Any) -> list[tuple[str, str, Any]]:
    return [(problem.code, dotted(problem.field), problem.value) for problem in advice(job(**compute))]


def test_every_step_has_a_time_limit_that_the_job_can_change() -> None:
    limits = {name: node["limits"] for name, node in nodes(timeout={"predict": 60}).items()}
    expected = {name: {"timeout": TIMEOUTS_S.get(name, 60)} for name in limits}
    assert limits == expected
    assert [name for name in limits if name not in TIMEOUTS_S] == ["predict_student", "predict_baseline"]
    assert TIMEOUTS_S["teacher"] <= MAX_SPOT_TIMEOUT_S


@pytest.mark.parametrize(
    ("compute", "instances", "processes"),
    [
        ({}, 1, None),
        ({"gpu_instance_type": FOUR_GPUS}, 1, 4),
        ({"gpu_instance_type": FOUR_GPUS, "train_processes": 2}, 1, 2),
        ({"gpu_instance_type": FOUR_GPUS, "train_processes": 1}, 1, None),
        ({"train_instances": 3}, 3, 1),
        ({"train_instances": 2, "gpu_instance_type": FOUR_GPUS}, 2, 4),
        ({"gpu": "a-cluster", "gpu_instance_type": FOUR_GPUS}, 1, None),
        ({"gpu": "a-cluster", "train_processes": 4}, 1, 4),
        ({"gpu_instance_type": "Standard_ND96new_v9"}, 1, None),
    ],
)
def test_train_uses_the_gpus_of_its_vm(compute: dict[str, Any], instances: int, processes: int | None) -> None:
    document = nodes(**compute)
    train = document["train"]
    assert train.get("resources", {}).get("instance_count", 1) == instances
    distribution = {"type": "pytorch", "process_count_per_instance": processes} if processes else None
    assert train.get("distribution") == distribution
    assert [name for name, node in document.items() if "distribution" in node] == ["train"] * bool(distribution)


def test_predict_can_have_a_vm_of_its_own() -> None:
    document = nodes(gpu_instance_type=FOUR_GPUS, predict_instance_type=ONE_GPU)
    sizes = {
        name: (node["resources"]["instance_type"], node["environment_variables"])
        for name, node in document.items()
        if "predict" in name or name == "train"
    }
    one_gpu = (ONE_GPU, {REQUIRED_GPUS: "1"})
    assert sizes == {
        "train": (FOUR_GPUS, {REQUIRED_GPUS: "4"}),
        "predict_student": one_gpu,
        "predict_baseline": one_gpu,
    }


def test_spot_shared_memory_and_variables_reach_their_steps() -> None:
    document = nodes(spot=["train"], shm_size="16g", environment_variables={"B": "2", "A": "1"})
    assert {name for name, node in document.items() if node.get("queue_settings") == {"job_tier": "spot"}} == {"train"}
    gpu = {"train", "predict_student", "predict_baseline"}
    assert {name for name, node in document.items() if node["resources"].get("shm_size") == "16g"} == gpu
    assert all(list(node["environment_variables"])[:2] == ["A", "B"] for node in document.values())


def test_the_settings_of_the_pipeline() -> None:
    default, changed = pipeline(), pipeline(default_datastore="lake", force_rerun=True)
    assert default["settings"] == {"default_compute": "serverless", "continue_on_step_failure": True}
    assert changed["settings"] == default["settings"] | {"default_datastore": "azureml:lake", "force_rerun": True}
    stores = [document["jobs"]["teacher"]["outputs"]["store"]["path"] for document in (default, changed)]
    folder = "paths/azdistill/store"
    assert stores == [f"azureml://datastores/{name}/{folder}" for name in ("workspaceblobstore", "lake")]


def test_no_gpu_is_rented_before_the_teacher_has_answered() -> None:
    """Each GPU step depends on curate, which reads the answers, directly or through others."""
    document = nodes()
    upstream = {node.name: set(node.after) for node in planned_nodes(job())}

    def depends(name: str) -> bool:
        return name == "curate" or any(map(depends, upstream[name]))

    gpu = [name for name, node in document.items() if REQUIRED_GPUS in node.get("environment_variables", {})]
    assert gpu == ["train", "predict_student", "predict_baseline"]
    assert all(map(depends, gpu))
    assert "train" not in upstream["predict_baseline"]


@pytest.mark.parametrize(
    ("compute", "code", "field", "value"),
    [
        ({"gpu_instance_type": "Standard_NC24ads_A100v4"}, "unknown_vm_size", "gpu_instance_type", None),
        ({"cpu_instance_type": "E4s_v3"}, "unknown_vm_size", "cpu_instance_type", None),
        ({"predict_instance_type": "Standard_NC24asd_A100_v4"}, "unknown_vm_size", "predict_instance_type", None),
        ({"gpu_instance_type": FOUR_GPUS, "train_processes": 5}, "out_of_range", "train_processes", 5),
        ({"train_processes": 2}, "out_of_range", "train_processes", 2),
        ({"spot": ["predict"]}, "invalid_choice", "spot.0", "predict"),
        ({"gpu": "a-cluster", "spot": ["train"]}, "incompatible_fields", "spot", "train"),
        ({"cpu": "a-cluster", "spot": ["train", "teacher"]}, "incompatible_fields", "spot", "teacher"),
        ({"spot": ["train"], "timeout": {"train": 604_801}}, "out_of_range", "timeout.train", 604_801),
        ({"timeout": {"train": 59}}, "out_of_range", "timeout.train", 59),
        ({"timeout": {"tain": 60}}, "unknown_step", "timeout.tain", 60),
        ({"shm_size": "16 GB"}, "wrong_format", "shm_size", "16 GB"),
        ({"default_datastore": "azureml:lake"}, "wrong_format", "default_datastore", "azureml:lake"),
        ({"environment_variables": {"A B": "c"}}, "invalid_name", "environment_variables.A B", "c"),
        ({"environment_variables": {"RANK": "0"}}, "reserved_name", "environment_variables.RANK", "0"),
        (
            {"environment_variables": {REQUIRED_GPUS: "0"}},
            "reserved_name",
            f"environment_variables.{REQUIRED_GPUS}",
            "0",
        ),
    ],
)
def test_an_invalid_combination_is_found(compute: dict[str, Any], code: str, field: str, value: Any) -> None:
    with pytest.raises(SpecError) as error:
        job(**compute)
    (problem,) = error.value.problems
    shown = compute[field] if value is None else value
    assert (problem.code, dotted(problem.field), problem.value) == (code, f"compute.{field}", shown)


def test_a_secret_is_no_environment_variable() -> None:
    secret = "sk-0123456789abcdef"
    with pytest.raises(SpecError) as error:
        job(environment_variables={"HF_TOKEN": "short", "OTHER": secret})
    assert [problem.code for problem in error.value.problems] == ["secret", "secret"]
    assert "short" not in str(error.value)
    assert secret not in str(error.value)


@pytest.mark.parametrize(
    ("compute", "expected"),
    [
        ({}, []),
        ({"gpu_instance_type": "Standard_ND96new_v9"}, [("unknown_vm_size", "gpu_instance_type", None)]),
        ({"cpu": "a-cluster", "cpu_instance_type": "Standard_ND96new_v9"}, []),
        (
            {"gpu_instance_type": "Standard_NC6s_v3"},
            [
                ("retired_vm_size", "gpu_instance_type", None),
                *2 * [("exceeds_gpu_memory", "gpu_instance_type", None)],  # of train, and of predict
            ],
        ),
        ({"predict_instance_type": ONE_GPU, "gpu_instance_type": FOUR_GPUS}, [("several_processes", "batch_size", 8)]),
        (
            {"gpu_instance_type": FOUR_GPUS},
            [("idle_gpus", "gpu_instance_type", None), ("several_processes", "batch_size", 8)],
        ),
        (
            {"predict_instance_type": FOUR_GPUS, "gpu_instance_type": FOUR_GPUS, "train_processes": 1},
            [("idle_gpus", "train_processes", None), ("idle_gpus", "predict_instance_type", None)],
        ),
        ({"train_instances": 2}, [("several_processes", "batch_size", 8)]),
    ],
)
def test_unknown_sizes_idle_gpus_and_larger_batches_are_warnings(
    compute: dict[str, Any], expected: list[tuple[str, str, Any]]
) -> None:
    reported = [(code, field.rpartition(".")[2], value) for code, field, value in warnings(**compute)]
    assert reported == [(code, field, compute[field] if value is None else value) for code, field, value in expected]
