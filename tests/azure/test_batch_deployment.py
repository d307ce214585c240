"""Batch endpoint of a student: its files, the real client in the simulated workspace, and the steps with its inputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from yaml import safe_load

from azdistill.azure.deployment.batch import deploy_batch
from azdistill.azure.deployment.batch_files import BatchRelease, batch_release_of, write_batch_files
from azdistill.azure.deployment.endpoint import OperationFailed
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_rows
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.contracts.step import flag
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.job.model import DistillationJob
from tests.azure.deployments import job_with
from tests.students import tiny
from tests.workspace.resources.online_endpoints import Failure

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace

ENDPOINT = "support-batch"
OWN_TASK = """\
def case(row):
    return row["text"], None

def answer(text):
    return text

def correct(answer, reference):
    return answer == reference
"""


def job(**fields: Any) -> DistillationJob:
    values = job_with(**fields.pop("deployment", {})).model_dump(exclude_unset=True)
    compute = {"cpu": "cpu-cluster", "gpu": "gpu-cluster"}
    return DistillationJob.model_validate({**values, "compute": compute, **fields})


def release(version: str = "1", **fields: Any) -> BatchRelease:
    return batch_release_of(job(**fields), f"azureml:support:{version}")


@pytest.fixture
def deploy(client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path) -> Callable[[BatchRelease], list[str]]:
    workspace.operations.polls = 0

    def run(released: BatchRelease) -> list[str]:
        folder = tmp_path / released.content
        write_batch_files(released, folder)
        return list(deploy_batch(client, released, folder))

    return run


def test_the_engine_and_the_client_load_the_files(tmp_path: Path) -> None:
    from azure.ai.ml import load_batch_endpoint, load_component
    from azure.ai.ml.entities import PipelineComponentBatchDeployment
    from azure.ai.ml.entities._load_functions import load_pipeline_component_batch_deployment

    released = release(outputs={"model_type": "mlflow_model"}, tags={"team": "support"})
    assert [path.name for path in write_batch_files(released, tmp_path)] == [
        "endpoint.yml",
        "deployment.yml",
        "pipeline.yml",
    ]
    assert load_pipeline(tmp_path / "pipeline.yml").problems == ()
    endpoint = load_batch_endpoint(tmp_path / "endpoint.yml")
    assert (endpoint.name, endpoint.auth_mode) == (ENDPOINT, "aad_token")
    deployment = load_pipeline_component_batch_deployment(tmp_path / "deployment.yml")
    assert isinstance(deployment, PipelineComponentBatchDeployment)
    assert deployment.component == f"azdistill_batch:{released.content}"
    component: Any = load_component(tmp_path / "pipeline.yml")
    assert component._validate().error_messages == {}
    assert (component.version, component.inputs["data"].optional) == (released.content, False)


def test_the_same_release_has_the_same_name() -> None:
    same = release(deployment={"smoke_rows": 7})
    assert release().deployment_name == same.deployment_name
    others = [release("2"), release(predict={"max_new_tokens": 8}), release(task="math")]
    assert len({release().content, *(other.content for other in others)}) == 4


def test_a_deployment_becomes_the_default_once(
    deploy: Callable[[BatchRelease], list[str]], client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path
) -> None:
    first, second = release("1"), release("2")
    lines = deploy(first)
    assert lines[0] == f"deployment {first.deployment_name}: creating"
    assert workspace.batch[ENDPOINT].default == first.deployment_name
    assert deploy(first) == [f"batch endpoint '{ENDPOINT}': azureml:support:1 is the default already, nothing done"]
    deploy(second)
    endpoint = workspace.batch[ENDPOINT]
    assert (endpoint.default, list(endpoint.deployments)) == (
        second.deployment_name,
        [first.deployment_name, second.deployment_name],
    )
    configuration = endpoint.deployments[second.deployment_name].body["properties"]["deploymentConfiguration"]
    document = safe_load((tmp_path / second.content / "deployment.yml").read_text())
    assert configuration["settings"] == document["settings"]
    nodes = workspace.assets.get("components", "azdistill_batch", second.content)["componentSpec"]["jobs"]
    assert nodes["predict"]["inputs"]["model"]["uri"].endswith("/models/support/versions/2")
    assert [nodes[name]["computeId"].rpartition("/")[2] for name in nodes] == ["cpu-cluster", "gpu-cluster"]
    assert deploy(first)[0] == f"deployment {first.deployment_name}: exists"
    assert workspace.batch[ENDPOINT].default == first.deployment_name


def test_a_file_is_sent_to_the_default_deployment(
    deploy: Callable[[BatchRelease], list[str]], client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path
) -> None:
    from azure.ai.ml import Input

    deploy(release())
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"question": "What is 1?"}\n')
    data = Input(type="uri_file", path=str(rows))
    started: Any = client.batch_endpoints.invoke(ENDPOINT, inputs={"data": data})
    (deployment, body), *_ = workspace.batch.invoked
    assert deployment == release().deployment_name
    sent = body["inputData"]["data"]
    assert (sent["jobInputType"], set(body["inputData"])) == ("UriFile", {"data"})
    container = workspace.datastores.containers["workspaceblobstore"]
    assert workspace.blobs.contents(container, sent["uri"].partition("/paths/")[2]) == {"": rows.read_bytes()}
    assert client.jobs.get(started.name).name == started.name


def test_a_failed_deployment_is_no_default_and_is_created_again(
    deploy: Callable[[BatchRelease], list[str]], workspace: "SimulatedWorkspace"
) -> None:
    workspace.batch.failures = [Failure("BadArgument", "The component cannot be deployed.")]
    with pytest.raises(OperationFailed, match=r"BadArgument \(The component cannot be deployed"):
        deploy(release())
    assert workspace.batch[ENDPOINT].default is None
    assert deploy(release())[0] == f"deployment {release().deployment_name}: creating"
    assert workspace.batch[ENDPOINT].default == release().deployment_name


def test_a_task_file_is_a_part_of_the_component(
    deploy: Callable[[BatchRelease], list[str]], workspace: "SimulatedWorkspace", tmp_path: Path
) -> None:
    path = tmp_path / "my_task.py"
    path.write_text(OWN_TASK)
    released = release(task=str(path))
    deploy(released)
    nodes = workspace.assets.get("components", "azdistill_batch", released.content)["componentSpec"]["jobs"]
    uri = nodes["prepare"]["inputs"]["task_file"]["uri"]
    container = workspace.datastores.containers["workspaceblobstore"]
    assert workspace.blobs.contents(container, uri.partition("/paths/")[2]) == {"": OWN_TASK.encode()}


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"compute": {"cpu": "cpu-cluster"}}, "needs_cluster", ("compute", "gpu")),
        ({"task": "./absent.py"}, "file_not_found", ("task",)),
        ({"deployment": {"endpoint_name": "s" * 27}}, "wrong_length", ("deployment", "batch_endpoint_name")),
    ],
)
def test_a_job_that_no_batch_endpoint_can_run(fields: dict[str, Any], code: str, field: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as raised:
        release(**fields)
    assert [(problem.code, problem.field) for problem in raised.value.problems] == [(code, field)]


def test_the_steps_answer_every_row(tmp_path: Path) -> None:
    """The steps run in this process, with the inputs that the pipeline gives them."""
    from azdistill.generation.predict import predict
    from azdistill.steps import predict as predict_step
    from azdistill.steps import prepare as prepare_step
    from azdistill.steps.runner import run_step
    from azdistill.students.loading import load_student

    contents = ("what is 1?", "What is 1?", "what is 1?", "which one?")
    rows = [{"messages": [{"role": "user", "content": content}]} for content in contents]
    data, model = tmp_path / "rows.jsonl", tiny.write(tmp_path / "student", "qwen3")
    data.write_text("\n".join([*map(json.dumps, rows), '{"broken', ""]))
    released = release(predict={"max_new_tokens": 8}, prepare={"max_reject_ratio": 0.5})
    write_batch_files(released, tmp_path / "files")
    nodes = safe_load((tmp_path / "files" / "pipeline.yml").read_text())["jobs"]
    values = {
        "${{parent.inputs.data}}": data,
        "${{parent.jobs.prepare.outputs.prompts}}": tmp_path / "prompts",
        "${{parent.outputs.prompts}}": tmp_path / "prompts",
        "${{parent.outputs.predictions}}": tmp_path / "predictions",
    }
    for step, node in ((prepare_step, nodes["prepare"]), (predict_step, nodes["predict"])):
        ports = {name: model if isinstance(value, dict) else value for name, value in node["inputs"].items()}
        arguments = {name: values.get(value, value) for name, value in {**ports, **node["outputs"]}.items()}
        words = [word for name, value in arguments.items() for word in (flag(name), str(value))]
        assert run_step(step.STEP, step.body, words) == 0
    prompts = list(read_rows(tmp_path / "prompts" / "prompts.jsonl", Prompt))
    assert [prompt.source for prompt in prompts] == ["rows.jsonl:1", "rows.jsonl:2", "rows.jsonl:4"]
    config = PredictConfig(max_new_tokens=8, latency_rows=0)
    expected, _ = predict(load_student(model), prompts, config)
    assert list(read_rows(tmp_path / "predictions" / "predictions.jsonl", Prediction)) == expected
