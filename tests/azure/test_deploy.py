"""The command `azdistill deploy`, with the real client in the simulated workspace."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from azdistill.azure.deployment.files import write_files
from azdistill.cli.main import main
from azdistill.engine.pipeline.emit import to_yaml
from tests.azure.deployments import Deployments, job_with, release
from tests.cli.conftest import Command, Done, folder
from tests.workspace.resources.online_endpoints import Failure

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace

__all__ = ["folder"]

MODEL = "azureml:support:1"
CONFIG = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
TEXTS = [f"row {number}" for number in range(30)]


def _jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


# Outputs of a job that has evaluated the student. One answer was cut off, and one row is not a test row.
PROMPTS = _jsonl(
    [
        {
            "id": f"{number:016x}",
            "split": "train" if number == 0 else "test",
            "messages": [{"role": "user", "content": text}],
            "source": f"rows.jsonl:{number}",
        }
        for number, text in enumerate(TEXTS)
    ]
)
PREDICTIONS = _jsonl(
    [
        {"id": f"{number:016x}", "completion": f"You said: {text}", "truncated": number == 1}
        for number, text in enumerate(TEXTS)
    ]
)

RUN_FILES = ("prepare/prompts/prompts.jsonl", "predict_student/predictions/predictions.jsonl")


@pytest.fixture
def azdistill(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Command:
    """Run the command in this process. The workspace is started by a command that opens it."""
    (folder / "config.json").write_text(json.dumps(CONFIG))

    def call(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["azdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main(lambda _: request.getfixturevalue("client"))
        return Done(ended.value.code if isinstance(ended.value.code, int) else 0, *capfd.readouterr())

    return call


@pytest.fixture
def job(folder: Path) -> Path:
    path = folder / "job.yaml"
    path.write_text(to_yaml(job_with(smoke_rows=5).model_dump(mode="json", exclude_unset=True)))
    return path


def _pipeline(workspace: "SimulatedWorkspace", *nodes: str) -> dict[str, Any]:
    node = {"type": "command", "componentId": f"{workspace.arm_id}/components/step/versions/1", "inputs": {}}
    return {"jobType": "Pipeline", "displayName": "support", "settings": {}, "jobs": dict.fromkeys(nodes, node)}


@pytest.fixture
def registered(client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path) -> Deployments:
    """Models that job train-1 has registered, with its outputs."""
    deployments = Deployments(client, workspace, tmp_path)
    workspace.jobs.script = ["Completed"]
    workspace.jobs.put("train-1", _pipeline(workspace, "prepare", "predict_student"))
    workspace.runs.output("train-1-prepare", "prompts", {"prompts.jsonl": PROMPTS})
    workspace.runs.output("train-1-predict_student", "predictions", {"predictions.jsonl": PREDICTIONS})
    for version in ("1", "2"):
        workspace.assets.get("models", "support", version)["jobName"] = "train-1"
    return deployments


def test_a_student_is_deployed_with_the_rows_of_its_job(azdistill: Command, job: Path, registered: Deployments) -> None:
    done = azdistill("deploy", job, "--model", MODEL)
    assert (done.err, done.code) == ("", 0)
    assert "deployment blue: 5 of 5 answers are those of the evaluation" in done.out
    assert done.out.splitlines()[-1] == f"endpoint 'support': {MODEL} has all traffic, by deployment blue"
    again = azdistill("deploy", job, "--model", MODEL)
    assert (again.code, again.out) == (0, f"endpoint 'support': {MODEL} already has all traffic, nothing done\n")


def test_rows_of_a_local_run(azdistill: Command, job: Path, folder: Path, registered: Deployments) -> None:
    prompts, predictions = (folder / "run" / path for path in RUN_FILES)
    for path in (prompts, predictions):
        path.parent.mkdir(parents=True)
    prompts.write_text(PROMPTS)
    predictions.touch()
    empty = azdistill("deploy", job, "--model", MODEL, "--run", "run")
    assert (empty.code, "predictions.jsonl: has no complete answer to a test row" in empty.err) == (2, True)
    predictions.write_text(PREDICTIONS)
    assert "5 of 5 answers" in azdistill("deploy", job, "--model", MODEL, "--run", "run").out


def test_the_exit_codes_of_failures(azdistill: Command, job: Path, registered: Deployments) -> None:
    online = registered.workspace.online
    online.failures = [Failure("ResourceNotReady", "User container has crashed.", log="CUDA out of memory")]
    failed = azdistill("deploy", job, "--model", MODEL)
    assert (failed.code, "inference-server: CUDA out of memory" in failed.out) == (1, True)
    assert "deployment 'blue': ResourceNotReady (User container has crashed); the server did not start" in failed.err
    online.answer = lambda *_: "something else"
    refused = azdistill("deploy", job, "--model", MODEL)
    assert (refused.code, "only 0 of 5 answers are those of the evaluation" in refused.err) == (3, True)
    assert registered.endpoint.traffic == {}
    missing = azdistill("deploy", job, "--model", "azureml:support:9")
    assert (missing.code, "model 'azureml:support:9': HTTP 404" in missing.err) == (2, True)


def test_a_model_of_no_job_needs_a_run(azdistill: Command, job: Path, registered: Deployments) -> None:
    done = azdistill("deploy", job, "--model", "azureml:support:3")
    assert (done.code, "give a run folder or a job with --run" in done.err) == (2, True)
    assert registered.workspace.online.by_name == {}


def test_a_job_without_predictions_is_wrong_input(azdistill: Command, job: Path, registered: Deployments) -> None:
    registered.workspace.jobs.put("other-1", _pipeline(registered.workspace, "prepare"))
    done = azdistill("deploy", job, "--model", MODEL, "--run", "other-1")
    assert (done.code, "job 'other-1': node prepare has no prompts.jsonl" in done.err) == (2, True)


def test_write_only_writes_the_files_that_a_rollout_sends(azdistill: Command, job: Path, folder: Path) -> None:
    """Without a workspace and the data of the job."""
    job.write_text(job.read_text().replace("azureml:rows:1", "./absent.jsonl"))
    done = azdistill("deploy", job, "--model", MODEL, "--write-only", "files")
    assert (done.code, len(done.out.splitlines())) == (0, 5)
    expected = write_files(release("1", smoke_rows=5), folder / "expected")
    for path in expected:
        relative = path.relative_to(folder / "expected")
        assert (folder / "files" / relative).read_text() == path.read_text()


CLUSTERS = ("--set", "compute.cpu=cpu-cluster", "--set", "compute.gpu=gpu-cluster")


def test_a_batch_endpoint_is_created_and_its_files_are_written(
    azdistill: Command, job: Path, folder: Path, registered: Deployments
) -> None:
    written = azdistill("deploy", job, "--batch", "--model", MODEL, *CLUSTERS, "--write-only", "files")
    assert (written.code, written.out) == (0, "files/endpoint.yml\nfiles/deployment.yml\nfiles/pipeline.yml\n")
    done = azdistill("deploy", job, "--batch", "--model", MODEL, *CLUSTERS)
    assert (done.err, done.code) == ("", 0)
    (name,) = registered.workspace.batch["support-batch"].deployments
    assert f"name: {name}\n" in (folder / "files/deployment.yml").read_text()
    assert done.out.splitlines() == [
        f"deployment {name}: creating",
        f"batch endpoint 'support-batch': answers with {MODEL}, by deployment {name}",
    ]


def test_wrong_input_of_a_batch_endpoint(azdistill: Command, job: Path, registered: Deployments) -> None:
    option = azdistill("deploy", job, "--batch", "--model", MODEL, *CLUSTERS, "--run", "train-1")
    assert (option.code, "--run: is for online endpoints" in option.err) == (2, True)
    serverless = azdistill("deploy", job, "--batch", "--model", MODEL)
    assert (serverless.code, "compute.gpu='serverless': a batch endpoint runs on clusters" in serverless.err) == (
        2,
        True,
    )
    missing = azdistill("deploy", job, "--batch", "--model", "azureml:support:9", *CLUSTERS)
    assert (missing.code, registered.workspace.batch.by_name) == (2, {})


def test_a_job_without_the_section_is_wrong_input(azdistill: Command, job: Path) -> None:
    job.write_text(to_yaml({name: value for name, value in _values().items() if name != "deployment"}))
    done = azdistill("deploy", job, "--model", MODEL)
    assert (done.code, "the job has no section deployment; add `deployment:`" in done.err) == (2, True)


def _values() -> dict[str, Any]:
    values: dict[str, Any] = job_with().model_dump(mode="json", exclude_unset=True)
    return values
