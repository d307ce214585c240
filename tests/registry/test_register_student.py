"""A real sqlite registry: one version for one content, with its lineage."""

import shutil
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from azdistill.contracts.errors import AzdistillError, GateRefused
from azdistill.contracts.files import write_json, write_text
from azdistill.contracts.manifest import close_folder
from azdistill.engine.redaction import redact
from azdistill.registry.gate import read_gate
from azdistill.registry.lineage import Lineage, model_digest, read_lineage
from azdistill.registry.runs import TrackedRun
from azdistill.registry.student import register_student
from azdistill.registry.workspace import mlflow_models_address
from tests.registry.conftest import METRICS, Evaluated

CARD = "---\nlicense: mit\n---\n\n# support\n\nA student.\n"


def lineage(inputs: dict[str, Path]) -> Lineage:
    return read_lineage(**inputs, gate=read_gate(inputs["evaluation"]))


def test_a_version_points_at_the_folder_and_carries_its_lineage(inputs: dict[str, Path], registry: str) -> None:
    registered = register_student(inputs["model"], "support", lineage(inputs), registry, CARD)
    version = MlflowClient(tracking_uri=registry).get_model_version("support", "1")
    assert (registered.version, registered.model_uri) == (1, "models:/support/1")
    assert version.source == registered.source == inputs["model"].as_uri()
    assert version.tags == lineage(inputs).tags()
    assert version.description == "# support\n\nA student.\n"
    run = MlflowClient(tracking_uri=registry).get_run(registered.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["student_accuracy"] == 0.948
    assert run.data.metrics["retention"] == 0.969
    assert run.data.tags["azdistill.teacher_route"] == "simulated"


def test_a_refusal_names_the_limit_that_cut_the_answers(evaluated: Evaluated) -> None:
    folder = evaluated("refused")
    with pytest.raises(GateRefused, match="min_retention") as error:
        read_gate(folder)
    assert error.value.problems[0].fix.startswith("see the report")
    student = {**METRICS["models"]["student"], "ended": {"value": 0.25}}
    write_json(folder / "metrics.json", METRICS | {"models": METRICS["models"] | {"student": student}})
    with pytest.raises(GateRefused) as error:
        read_gate(folder)
    assert error.value.problems[0].fix.startswith("raise predict.max_new_tokens, at which 75% of")


def test_the_same_content_is_one_version_and_one_run(inputs: dict[str, Path], registry: str, tmp_path: Path) -> None:
    first = register_student(inputs["model"], "support", lineage(inputs), registry, CARD)
    copied = Path(shutil.copytree(inputs["model"], tmp_path / "elsewhere"))
    assert register_student(copied, "support", lineage(inputs), registry, CARD) == first
    client = MlflowClient(tracking_uri=registry)
    assert len(client.search_runs([client.get_run(first.run_id).info.experiment_id])) == 1


def test_other_content_is_the_next_version(inputs: dict[str, Path], registry: str) -> None:
    register_student(inputs["model"], "support", lineage(inputs), registry, CARD)
    write_text(inputs["model"] / "model.safetensors", "other weights")
    close_folder(inputs["model"], "train", {})
    assert register_student(inputs["model"], "support", lineage(inputs), registry, CARD).version == 2


def test_a_version_whose_files_were_deleted_is_not_returned(
    inputs: dict[str, Path], registry: str, tmp_path: Path
) -> None:
    known = lineage(inputs)
    register_student(inputs["model"], "support", known, registry, CARD)
    moved = Path(shutil.move(inputs["model"], tmp_path / "moved"))
    again = register_student(moved, "support", known, registry, CARD)
    assert (again.version, again.source) == (2, moved.as_uri())


def test_the_run_of_the_job_is_used_and_left_open(inputs: dict[str, Path], registry: str) -> None:
    client = MlflowClient(tracking_uri=registry)
    job = client.create_run(client.create_experiment("job")).info.run_id
    assert register_student(inputs["model"], "support", lineage(inputs), registry, CARD, job).run_id == job
    run = client.get_run(job)
    assert (run.info.status, run.data.metrics["gain"]) == ("RUNNING", 0.948)
    assert client.get_experiment_by_name("support") is None


def test_a_registration_in_a_workspace_does_not_depend_on_mlflow(
    inputs: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    run = TrackedRun(None, "nosuch://me:hunter2@server.example")
    with run.recorded("support", lineage(inputs)) as run_id:
        assert run_id is None
    assert "register: MLflow: logging failed (Unsupported" in caplog.text
    assert "hunter2" not in caplog.text


def test_counts_in_the_manifest_do_not_make_another_model(inputs: dict[str, Path]) -> None:
    before = model_digest(inputs["model"])
    close_folder(inputs["model"], "train", {"seconds": 12.3})
    assert model_digest(inputs["model"]) == before


def test_an_unusable_registry_is_one_line_without_its_password(inputs: dict[str, Path]) -> None:
    with pytest.raises(AzdistillError) as caught:
        register_student(inputs["model"], "support", lineage(inputs), "ftp://me:hunter2@registry.example/x", CARD)
    assert "ftp://registry.example/x" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:hunter2@mlflow.example/api", "https://mlflow.example/api"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_user_and_password_are_not_shown(uri: str, shown: str) -> None:
    assert redact(uri) == shown


@pytest.mark.parametrize(
    "datastore",
    [
        "azureml://datastores/workspaceblobstore",
        "azureml://datastores/other",
        "azureml://subscriptions/s/resourcegroups/g/workspaces/datastores/datastores/other",
    ],
)
def test_mlflow_layouts_are_in_the_datastore_of_the_model(datastore: str) -> None:
    address = mlflow_models_address(f"{datastore}/paths/azureml/train-1/paths/model/")
    assert address == f"{datastore}/paths/azdistill/mlflow-models"
