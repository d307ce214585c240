"""Student and baseline are declared with the types under which they are registered."""

from typing import Any

import pytest

from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

META = "azureml://registries/azureml-meta/models/Llama-3.2-1B-Instruct/versions/1"


def pipeline_of(student: dict[str, Any], **sections: Any) -> dict[str, Any]:
    job = DistillationJob(
        task="qa",
        data={"training_data": "rows.jsonl"},
        teacher={"teachers": [{"model": "m", "connection": "deepseek"}]},
        student=student,
        **sections,
    )
    return pipeline_document(plan(job))


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ({"model": "phi-4-mini"}, "mlflow_model"),  # the catalog knows the type
        ({"model": "azureml://registries/azureml/models/Phi-4/versions/2"}, "mlflow_model"),
        ({"model": "phi-4-mini", "type": "custom_model"}, "custom_model"),
        ({"model": "azureml:Phi-4:1"}, "custom_model"),  # a copy in the workspace, registered by its users
        ({"model": "azureml:Phi-4:1", "type": "mlflow_model"}, "mlflow_model"),
        ({"model": META}, "custom_model"),  # of unknown type
        ({"model": "./Phi-4"}, "custom_model"),
    ],
)
def test_the_declared_type_is_that_of_the_catalog_or_the_job(student: dict[str, Any], expected: str) -> None:
    document = pipeline_of(student)
    assert document["inputs"]["student"]["type"] == expected
    assert document["jobs"]["register"]["inputs"]["baseline_type"] == expected


@pytest.mark.parametrize(
    ("student", "expected"),
    [
        ({"baseline": "azureml:support:3"}, "mlflow_model"),  # as outputs.model_type registers students
        ({"baseline": "azureml:support:3", "baseline_type": "custom_model"}, "custom_model"),
        ({"baseline": "azureml://registries/azureml/models/Phi-4/versions/2"}, "mlflow_model"),
    ],
)
def test_a_baseline_of_its_own_answers_with_its_own_weights(student: dict[str, Any], expected: str) -> None:
    """The other nodes are those of a job without one; the report and the model card name it."""
    random = {"model": "./Phi-4", "weights": "random", "chat_template": "chatml"}
    document = pipeline_of(random | student, outputs={"model_type": "mlflow_model"})
    without = pipeline_of(random, outputs={"model_type": "mlflow_model"})
    assert document["inputs"]["baseline"] == {"type": expected, "path": student["baseline"]} | {
        key: value for key, value in document["inputs"]["student"].items() if key not in ("type", "path")
    }
    inputs = document["jobs"]["predict_baseline"]["inputs"]
    assert inputs["model"] == "${{parent.inputs.baseline}}"
    assert inputs["weights"] == "pretrained"
    assert "chat_template" not in inputs
    changed = {name for name, node in document["jobs"].items() if node != without["jobs"][name]}
    assert changed - {"register"} == {"predict_baseline"}  # register links to a baseline of a registry
