"""Steps as processes with the environment of an Azure ML job, against the simulated workspace."""

import json
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from azure.core.pipeline.transport import RequestsTransport

from azdistill.azure_rest.identity import AzureMLOnBehalfOfCredential
from azdistill.azure_rest.workspace import Workspace as WorkspaceClient
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json, write_rows, write_text
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.register import MLFLOW_MODELS_PATH, RegisterConfig
from azdistill.engine.pipeline.expressions import render
from azdistill.job.components import component, step_of
from tests.cd.az_reference import problem_of
from tests.judging.conftest import judge_step
from tests.registry.conftest import empty_registry, evaluated, inputs, registry
from tests.students import tiny
from tests.teacher.conftest import configure, prompts, simulate, step
from tests.training.conftest import rows
from tests.workspace.clouds import PUBLIC, US_GOVERNMENT
from tests.workspace.job_process import IDENTITIES, job_process
from tests.workspace.resources.identity import MANAGED, ON_BEHALF_OF

__all__ = [
    "configure",
    "empty_registry",
    "evaluated",
    "inputs",
    "judge_step",
    "prompts",
    "registry",
    "simulate",
    "step",
]

pytestmark = pytest.mark.slow

KEY = "canary-key-of-the-connection"
TEACHER = "teacher.example"
PHI = "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1"


def connect(workspace):
    properties = {"category": "Serverless", "authType": "ApiKey", "target": f"https://{TEACHER}"}
    workspace.connections.by_name["deepseek"] = {**properties, "credentials": {"key": KEY}}


@pytest.mark.parametrize(
    ("identity", "cloud"), [*((name, PUBLIC) for name in IDENTITIES), (IDENTITIES[0], US_GOVERNMENT)]
)
def test_the_key_of_a_teacher_is_read_from_its_connection(
    step, simulate, prompts, configure, workspace, tmp_path, identity, cloud
):
    workspace.cloud = cloud
    connect(workspace)
    workspace.faults.inject("POST", "/listsecrets", 429, times=2, retry_after="0.01")
    step.write_prompts(prompts(1))
    teacher, url = simulate(key=KEY)
    config = configure(teacher={"connection": "deepseek", "endpoint": None}, teacher_route="endpoint")
    with job_process(workspace, tmp_path / "way", {TEACHER: url.removeprefix("http://")}) as job:
        code, out, err = step.run(config, **job.environ(identity))
    assert (code, err) == (0, ""), out
    assert teacher.calls["unauthorized"] == 0
    assert read_json(step.completions / "usage.json")["answered"] == 1
    assert [seen.status for seen in workspace.requests.of("POST", "/listsecrets")] == [429, 429, 200]
    ways = {"managed identity": MANAGED, "on behalf of": ON_BEHALF_OF}
    assert set(workspace.identity.requested) == {ways[identity]}


def test_reading_a_connection_is_retried_a_few_times(step, prompts, configure, workspace, tmp_path):
    connect(workspace)
    workspace.faults.inject("POST", "/listsecrets", 503, times=50, retry_after="0.01")
    step.write_prompts(prompts(1))
    config = configure(teacher={"connection": "deepseek", "endpoint": None}, teacher_route="endpoint")
    with job_process(workspace, tmp_path / "way") as job:
        code, _, err = step.run(config, **job.environ())
    assert (code, err.count("\n")) == (2, 1)
    assert "run again, and check the workspace if the error stays" in err
    assert len(workspace.requests.of("POST", "/listsecrets")) == 4


def test_the_key_of_a_judge_is_read_from_its_connection(judge_step, simulate, workspace, tmp_path):
    connect(workspace)
    judge, url = simulate(key=KEY)
    step = judge_step(teacher=["yes"], student=["no"], baseline=["perhaps"])
    with job_process(workspace, tmp_path / "way", {TEACHER: url.removeprefix("http://")}) as job:
        settings = {"judge_route": "endpoint", "judge_model": {"connection": "deepseek"}}
        assert step.run(job.environ(), **settings) == (0, "")
    summary = step.read("summary.json")
    assert (summary["requests"], summary["unreadable"], judge.calls["unauthorized"]) == (6, 6, 0)
    assert KEY not in "".join(path.read_text() for path in step.judgements.iterdir())


def run_of(tracking, folder):
    """Create the run that Azure ML opens for a job; returns the MLflow client and the run id."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking)
    experiment = client.create_experiment("job", artifact_location=(folder / "artifacts").as_uri())
    return client, client.create_run(experiment).info.run_id


CARD = "---\nlicense: mit\n---\n\n# support\n"
ADDRESS = "azureml://datastores/workspaceblobstore/paths/azureml/train-1/model/"


@pytest.mark.parametrize(
    "address", [ADDRESS, f"azureml://subscriptions/s/resourcegroups/g(1)/workspaces/w/{ADDRESS[10:]}"]
)
def test_a_student_is_registered_by_rest_as_a_process(inputs, workspace, client, tmp_path, address):
    """The command of the component in a shell, with MLflow's plugin.

    The version points at what the training wrote. Nothing is uploaded: the workspace has no route for artifacts.
    """
    files = {path.name: path.read_text() for path in inputs["model"].iterdir()}
    workspace.runs.output("train-1", "model", files)
    folders = {"registration": tmp_path / "out", "mlflow_models": tmp_path / "mlflow"}
    values = {
        **inputs,
        "model_address": address,
        "registered_model": "support",
        "model_type": "custom_model",
        "baseline": PHI,
        "baseline_type": "mlflow_model",
    }
    command = render(
        component(step_of("register"), {})["command"],
        {f"inputs.{name}": value for name, value in values.items()}
        | {f"outputs.{name}": path for name, path in folders.items()},
    )
    with job_process(workspace, tmp_path / "way") as job:
        environ = {**os.environ, **job.environ(), **job.tracking()}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        command = ["bash", "-c", command]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "registered azureml:support:1 in workspace 'simulated'\n"
    lineage = read_json(tmp_path / "out" / "lineage.json")
    assert (lineage["source"], lineage["baseline"]) == (address, "azureml:support-baseline:1")
    registered = client.models.get("support", "1")  # the real client reads what was written
    assert (registered.path, registered.type, registered.job_name) == (address, "custom_model", "run-1")
    assert registered.tags["azdistill.model_digest"] == lineage["model_digest"]
    assert registered.description in (tmp_path / "out" / "README.md").read_text()
    assert registered.tags["azdistill.baseline"] == client.models.get("support-baseline", "1").path == PHI
    client.models.download("support", "1", tmp_path / "downloaded")
    downloaded = {path.name: path.read_text() for path in (tmp_path / "downloaded").rglob("*") if path.is_file()}
    assert downloaded == files
    assert not (tmp_path / "mlflow").exists()
    metrics = {metric["key"]: metric["value"] for metric in workspace.tracking.metrics["run-1"]}
    assert (metrics["gain"], workspace.tracking.tags["run-1"]["azdistill.gate"]) == (0.948, "passed")


@pytest.fixture
def register(inputs, registry, workspace, credential, tmp_path):
    """Function that registers the student in this process, as a job does."""
    from azdistill.registry.gate import read_gate
    from azdistill.registry.lineage import read_lineage
    from azdistill.registry.runs import TrackedRun
    from azdistill.registry.workspace import StoredModel, register_in_workspace

    _, run = run_of(registry, tmp_path)
    waits = []

    def register(who=credential, **config):
        lineage = read_lineage(**inputs, gate=read_gate(inputs["evaluation"]))
        at = WorkspaceClient(job.environ(), who, f"http://{job.address}", RecordingTransport(waits))
        config = RegisterConfig(registered_model="support", **config)
        stored = StoredModel(inputs["model"], ADDRESS, tmp_path / "mlflow")
        return register_in_workspace(stored, lineage, config, at, TrackedRun(run, registry), CARD)

    with job_process(workspace, tmp_path / "way") as job:
        register.waits = waits
        yield register


class RecordingTransport(RequestsTransport):
    """Records the pauses between attempts instead of sleeping."""

    def __init__(self, waits):
        super().__init__()
        self.sleep = waits.append


def change_content(inputs):
    write_text(inputs["model"] / "model.safetensors", "other weights")
    close_folder(inputs["model"], "train", {})


def test_the_same_content_keeps_its_version_and_other_content_gets_the_next(register, inputs, workspace):
    workspace.page_size = 1
    kept = {"modelUri": "azureml://elsewhere", "modelType": "custom_model"}
    workspace.assets.put("models", "support", "7", kept | {"isArchived": True})
    workspace.assets.put("models", "support", "in-words", kept)
    first = register()
    assert (first.version, register()) == (8, first)
    change_content(inputs)
    assert register().version == 9
    assert len(workspace.assets.of("models")) == 4


def test_the_number_of_a_deleted_version_is_not_used_again(register, workspace):
    """A deleted version is in no list, and its number stays taken."""
    workspace.assets.put("models", "support", "1", {"modelUri": "azureml://elsewhere", "modelType": "custom_model"})
    workspace.assets.delete("models", "support", "1")
    assert register().version == 2


def test_the_model_card_is_the_description_unless_the_workspace_refuses_it(register, inputs, workspace):
    register()
    change_content(inputs)
    workspace.faults.inject("PUT", "/models/support/", 400)
    assert register().version == 2
    versions = [workspace.assets.get("models", "support", version) for version in "12"]
    assert [version.get("description") for version in versions] == ["# support\n", None]


def test_the_baseline_is_registered_with_its_type(register, workspace):
    register(baseline=PHI, baseline_type="mlflow_model")
    assert workspace.assets.get("models", "support-baseline", "1")["modelType"] == "mlflow_model"


def test_a_version_that_another_job_creates_is_skipped(register, inputs, workspace, monkeypatch):
    answer, theirs, times = workspace.answer, {"modelUri": "azureml://theirs", "modelType": "custom_model"}, [1, 50]

    def answer_after_race(request):
        """Create the version for another job just before the request, the first `times`."""
        if request.method == "PUT" and "/models/support/" in request.path and times[0]:
            times[0] -= 1
            workspace.assets.put("models", "support", request.path.rpartition("/")[2], theirs)
        return answer(request)

    monkeypatch.setattr(workspace, "answer", answer_after_race)
    assert register().version == 2
    change_content(inputs)
    times.pop(0)
    with pytest.raises(AzdistillError, match=r"other jobs took 5 versions in a row; run again"):
        register()


def test_a_busy_service_is_asked_again_after_its_retry_after(register, workspace):
    workspace.faults.inject("PUT", "/models/support/", 429, retry_after="7")
    workspace.faults.inject("PUT", "/models/support/", 503)
    assert register().version == 1
    assert register.waits == [7.0, 4.0]


@pytest.fixture
def logged(caplog):
    """The log of the registry, also after a step of this process has stopped its propagation."""
    logger = logging.getLogger("azdistill.registry")
    caplog.set_level(logging.INFO, logger.name)
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_a_baseline_that_the_workspace_rejects_stays_a_tag(register, workspace, logged):
    workspace.faults.inject("PUT", "/models/support-baseline/", 400)
    assert register(baseline=PHI).baseline is None
    assert "the tag azdistill.baseline of the student names the baseline" in logged.text
    assert workspace.assets.get("models", "support", "1")["tags"]["azdistill.baseline"] == PHI


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (403, "HTTP 403: .*; assign the role 'AzureML Data Scientist' on the workspace to this identity"),
        (500, "This failure was injected"),
    ],
)
def test_an_error_of_the_workspace_is_one_line_with_the_command_that_registers(register, workspace, status, advice):
    workspace.assets.put("models", "support", "3", {"modelUri": "azureml://elsewhere", "modelType": "custom_model"})
    workspace.faults.inject("PUT", "/models/support/", status, times=50)
    with pytest.raises(AzdistillError, match=f"model 'support' of workspace 'simulated': .*{advice}") as error:
        register()
    (problem,) = error.value.problems
    scope = f"--resource-group simulated-group --workspace-name simulated --subscription {workspace.subscription}"
    version = f"--type custom_model --name support --version 4 --path {ADDRESS}"
    assert problem.command == f"az ml model create {version} {scope}"
    assert problem_of(shlex.split(problem.command)[1:]) == ""


def test_an_mlflow_layout_that_cannot_be_written_leaves_the_command_for_the_plain_model(register, inputs, tmp_path):
    write_text(inputs["model"] / "config.json", '{"architectures": ["LlamaForCausalLM"]}')
    close_folder(inputs["model"], "train", {})
    (tmp_path / "mlflow").write_text("a file where the folder should be")
    with pytest.raises(AzdistillError) as error:
        register(model_type="mlflow_model")
    (problem,) = error.value.problems
    assert problem.code == "layout_failed"
    assert f"--type custom_model --name support --version 1 --path {ADDRESS} " in problem.command


def test_a_refused_mlflow_model_leaves_the_command_for_its_layout(register, inputs, workspace):
    write_text(inputs["model"] / "config.json", '{"architectures": ["LlamaForCausalLM"]}')
    close_folder(inputs["model"], "train", {})
    workspace.faults.inject("PUT", "/models/support/", 403, times=50)
    with pytest.raises(AzdistillError) as error:
        register(model_type="mlflow_model")
    (problem,) = error.value.problems
    assert (
        "--type mlflow_model --name support --version 1 --path azureml://datastores/workspaceblobstore/paths/azdistill/mlflow-models/"
        in problem.command
    )


def test_mlflow_can_chat_with_an_mlflow_model(register, inputs, workspace, tmp_path):
    from mlflow import pyfunc

    from azdistill.students.chat_template import original_template
    from azdistill.students.loading import load_student

    for path in inputs["model"].iterdir():
        path.unlink()
    tiny.write(inputs["model"], "smollm")
    write_text(inputs["model"] / "adapter" / "adapter_config.json", "{}")  # is merged, so it is not copied
    close_folder(inputs["model"], "train", {})
    first = register(model_type="mlflow_model")
    assert (register().version, register(model_type="mlflow_model")) == (2, first)
    assert workspace.assets.get("models", "support", "1")["modelType"] == "mlflow_model"
    (folder,) = (path.parent for path in tmp_path.glob("mlflow/*/MLmodel"))
    assert first.source == f"{MLFLOW_MODELS_PATH}/{folder.name}/"
    assert [*folder.rglob("adapter*")] == []
    assert (folder / "README.md").read_text() == CARD
    loaded = pyfunc.load_model(str(folder))
    assert "messages" in loaded.metadata.signature.inputs.input_names()
    request = {"messages": [{"role": "user", "content": "n0001?"}], "max_tokens": 4}
    (answer,) = loaded.predict(request)
    assert (answer["object"], answer["usage"]["completion_tokens"]) == ("chat.completion", 4)
    assert original_template(load_student(folder).tokenizer) == tiny.CHATML  # it may be a student again


def test_without_an_identity_no_request_is_sent(register, workspace):
    no_identity = AzureMLOnBehalfOfCredential("http://127.0.0.1:9/obo")
    with pytest.raises(InputError, match=r"model 'support' of workspace 'simulated': no Entra token .* `identity: "):
        register(no_identity)
    assert workspace.requests.all == []


FLAGS = {
    "seed": 5,
    "learning_rate": 3e-3,
    "batch_size": 8,
    "num_epochs": 2,
    "checkpoints_per_epoch": 2,
    "max_length": 128,
}


def test_a_preempted_training_continues_in_the_same_run(registry, workspace, tmp_path, monkeypatch, capsys):
    """The training is killed after a checkpoint and started again with the same run, outputs and command."""
    from azdistill.contracts.train import STEP
    from azdistill.steps.runner import run_step
    from azdistill.steps.train import body

    tracking, run = run_of(registry, tmp_path)
    student = tiny.write(tmp_path / "student", "smollm")
    write_rows(tmp_path / "curated/train.jsonl", rows(160))
    write_rows(tmp_path / "curated/validation.jsonl", rows(12, first=160))
    close_folder(tmp_path / "curated", "curate", {})
    folders = {name: tmp_path / name for name in ("curated", "model", "metrics", "checkpoints")}
    options = {**folders, "student": student, **FLAGS}
    flags = [argument for name, value in options.items() for argument in (f"--{name.replace('_', '-')}", str(value))]
    with job_process(workspace, tmp_path / "way") as job:
        azure = {**job.environ(run=run), "MLFLOW_TRACKING_URI": registry, "OMP_NUM_THREADS": "1"}
        kill_after_checkpoint(
            [sys.executable, "-m", STEP.module, *flags], {**os.environ, **azure}, tmp_path / "checkpoints"
        )
        for name, value in azure.items():
            monkeypatch.setenv(name, value)
        assert run_step(STEP, body, flags) == 0
    assert capsys.readouterr().err == ""
    metrics = read_json(tmp_path / "metrics/metrics.json")
    assert metrics["resumed_from_step"] > 0
    job_run = tracking.get_run(run)
    assert job_run.info.status == "RUNNING"
    assert job_run.data.metrics["eval_loss"] == job_run.data.metrics["validation_loss"] == metrics["validation_loss"]
    assert job_run.data.params["learning_rate"] == "0.003"
    steps = {point.step for point in tracking.get_metric_history(run, "eval_loss")}
    points = map(json.loads, (tmp_path / "metrics/history.jsonl").read_text().splitlines())
    assert steps >= {point["step"] for point in points if "validation_loss" in point}
    assert len(tracking.search_runs([job_run.info.experiment_id])) == 1


def kill_after_checkpoint(command, environ, checkpoints):
    """Start a training and kill it once it has written a checkpoint."""
    from azdistill.training.checkpoints import is_complete

    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not any(map(is_complete, checkpoints.rglob("checkpoint-*"))):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
