"""The student is declared with the type under which it is registered."""

from typing import Any

import pytest

from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

META = "azureml://registries/azureml-meta/models/Llama-3.2-1B-Instruct/versions/1"


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
    job = DistillationJob(
        task="qa",
        data={"training_data": "rows.jsonl"},
        teacher={"teachers": [{"model": "m", "connection": "deepseek"}]},
        student=student,
    )
    document = pipeline_document(plan(job))
    assert document["inputs"]["student"]["type"] == expected
    assert document["jobs"]["register"]["inputs"]["baseline_type"] == expected
