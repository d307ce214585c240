"""Registration of a model of this machine in the workspace of MLFLOW_TRACKING_URI, with an upload to Azurite."""

import os
import shlex
import subprocess
import sys

import pytest
from azure.core.exceptions import ServiceRequestError
from azure.core.pipeline.transport import RequestsTransport

from azdistill.azure_rest.blobs import BACKOFF, BLOCK_BYTES, RETRIES, BlobContainer
from azdistill.azure_rest.workspace import Workspace, workspace_of_tracking_uri
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json, write_text
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.register import RegisterConfig
from azdistill.engine.local.options import RunOptions
from azdistill.local_runs.registry import check_registry
from azdistill.registry.gate import read_gate
from azdistill.registry.lineage import read_lineage
from azdistill.registry.runs import TrackedRun
from azdistill.registry.transfer import upload
from azdistill.registry.workspace import LocalModel, register_in_workspace
from tests.cd.az_reference import problem_of
from tests.registry.conftest import evaluated, inputs
from tests.workspace.azurite import HOST
from tests.workspace.job_process import job_process
from tests.workspace.resources.datastores import BLOB_STORE

__all__ = ["evaluated", "inputs"]

CARD = "---\nlicense: mit\n---\n\n# support\n"
# Variables of a job, which a local run does not have.
JOB_VARIABLES = (
    "AZUREML_",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_TRACKING_TOKEN",
    "DEFAULT_IDENTITY_CLIENT_ID",
)


@pytest.fixture
def process(workspace, storage, tmp_path):
    """A process that reaches the workspace and its storage account."""
    with job_process(workspace, tmp_path / "proxy", {HOST: storage.url}) as process:
        yield process


@pytest.fixture
def this_machine(process):
    """Environment of a process of this machine, which has an identity and a tracking URI."""
    variables = {**process.environ(), **process.tracking()}
    return {name: value for name, value in variables.items() if not name.startswith(JOB_VARIABLES)}


@pytest.fixture
def opened(process, this_machine, credential, monkeypatch):
    """The workspace of the tracking URI, in this process."""
    for name, value in this_machine.items():
        monkeypatch.setenv(name, value)
    names = workspace_of_tracking_uri(this_machine["MLFLOW_TRACKING_URI"])
    with RequestsTransport() as transport:
        yield Workspace(this_machine | names, credential, f"http://{process.address}", transport)


@pytest.fixture
def register(opened, inputs):
    """Function that registers the model of `inputs`."""

    def register(**config):
        lineage = read_lineage(**inputs, gate=read_gate(inputs["evaluation"]))
        config = RegisterConfig(registered_model="support", **config)
        local = LocalModel(inputs["model"], opened)
        return register_in_workspace(local, lineage, config, opened, TrackedRun(None), CARD)

    return register


def uploaded(workspace):
    """Path in `azdistill/` -> bytes."""
    return workspace.blobs.contents(workspace.datastores.containers[BLOB_STORE], "azdistill/")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_local_run_uploads_its_model_and_registers_it(inputs, workspace, client, this_machine, tmp_path):
    (inputs["model"] / "adapter").mkdir()
    write_text(inputs["model"] / "adapter" / "with blank #1.json", "{}")
    close_folder(inputs["model"], "train", {})

    def run(output):
        ports = {**inputs, "model_address": inputs["model"], "mlflow_models": tmp_path / "mlflow"}
        words = [word for name, path in ports.items() for word in (f"--{name.replace('_', '-')}", str(path))]
        command = [sys.executable, "-m", "azdistill.steps.register", *words, "--registration", str(output)]
        environ = {**os.environ, **this_machine}
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)

    done = run(tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "register: MB uploaded: 1/1 (" in done.stdout
    assert done.stdout.endswith("registered azureml:student:1 in workspace 'simulated'\n")
    lineage = read_json(tmp_path / "out" / "lineage.json")
    folder = f"models/{lineage['model_digest']}/"
    scope = f"subscriptions/{workspace.subscription}/resourcegroups/{workspace.group}/workspaces/{workspace.name}"
    assert lineage["source"] == f"azureml://{scope}/datastores/{BLOB_STORE}/paths/azdistill/{folder}"
    assert uploaded(workspace) == {f"{folder}{path}": content for path, content in contents(inputs["model"]).items()}
    assert not (tmp_path / "mlflow").exists()

    registered = client.models.get("student", "1")  # the real client reads what was written
    assert (registered.path, registered.type, registered.job_name) == (lineage["source"], "custom_model", "created-1")
    client.models.download("student", "1", tmp_path / "downloaded")
    assert contents(tmp_path / "downloaded" / "student" / lineage["model_digest"]) == contents(inputs["model"])
    assert workspace.tracking.experiments == {"student": "1"}
    metrics = {metric["key"]: metric["value"] for metric in workspace.tracking.metrics["created-1"]}
    assert (metrics["gain"], workspace.tracking.statuses) == (0.948, {"created-1": "FINISHED"})

    written = workspace.blobs.last_modified(workspace.datastores.containers[BLOB_STORE])
    done = run(tmp_path / "again")
    assert done.stdout == "registered azureml:student:1 in workspace 'simulated'\n"
    assert read_json(tmp_path / "again" / "lineage.json")["run_id"] == "created-1"
    assert workspace.blobs.last_modified(workspace.datastores.containers[BLOB_STORE]) == written


@pytest.mark.parametrize("key", ["none", "not readable"])
def test_without_the_key_of_the_datastore_the_identity_uploads(register, inputs, workspace, credential, key):
    if key == "none":
        workspace.datastores.identity = True
    else:
        workspace.faults.inject("POST", "/listSecrets", 403)
    register()
    assert len(uploaded(workspace)) == len(contents(inputs["model"]))
    assert "https://storage.azure.com/.default" in credential.scopes


def test_an_upload_continues_with_the_files_that_are_missing_or_incomplete(register, inputs, workspace):
    workspace.faults.inject("PUT", "/models/support/", 403, times=50)
    with pytest.raises(AzdistillError, match="HTTP 403"):
        register()
    container, sent = workspace.datastores.containers[BLOB_STORE], uploaded(workspace)
    config, weights = (
        next(path for path in sent if path.endswith(name)) for name in ("/config.json", "/model.safetensors")
    )
    same_size = bytes(len(sent[config]))
    workspace.blobs.write(container, f"azdistill/{config}", same_size)
    workspace.blobs.write(container, f"azdistill/{weights}", b"other size")
    workspace.faults.injected.clear()
    assert register().version == 1
    assert uploaded(workspace) == {**sent, config: same_size}


def test_a_refused_version_leaves_the_command_for_the_uploaded_model(register, workspace):
    workspace.faults.inject("PUT", "/models/support/", 403, times=50)
    with pytest.raises(AzdistillError, match="assign the role 'AzureML Data Scientist' on the workspace") as error:
        register()
    (problem,) = error.value.problems
    digest = next(iter(uploaded(workspace))).split("/")[1]
    assert f"/datastores/{BLOB_STORE}/paths/azdistill/models/{digest}/ --resource-group simulated" in problem.command
    assert problem_of(shlex.split(problem.command)[1:]) == ""


def test_a_storage_that_refuses_the_identity_leaves_the_command_for_the_folder(register, inputs, workspace, credential):
    workspace.datastores.identity = True
    credential.audiences["https://storage.azure.com/.default"] = "https://vault.azure.net"
    with pytest.raises(AzdistillError) as error:
        register()
    (problem,) = error.value.problems
    assert problem.subject == "datastore 'workspaceblobstore' of workspace 'simulated'"
    assert f"--version 1 --path {inputs['model']} --resource-group" in problem.command
    assert problem_of(shlex.split(problem.command)[1:]) == ""
    assert workspace.assets.of("models") == {}


def test_a_workspace_without_the_datastore_is_one_line(register, workspace):
    workspace.faults.inject("GET", "/datastores/", 404)
    with pytest.raises(AzdistillError, match=r"datastore 'workspaceblobstore' .*: HTTP 404.*check MLFLOW_TRACKING_URI"):
        register()


def test_an_mlflow_model_is_uploaded_in_its_layout(register, inputs, workspace):
    write_text(inputs["model"] / "config.json", '{"architectures": ["LlamaForCausalLM"]}')
    close_folder(inputs["model"], "train", {})
    folder = register(model_type="mlflow_model").source.partition("/paths/azdistill/")[2]
    assert folder.startswith("mlflow-models/")
    files = {path.removeprefix(folder): content for path, content in uploaded(workspace).items()}
    assert files.keys() >= {"MLmodel", "conda.yaml", "model/model.safetensors", "components/tokenizer/config.json"}
    assert files["README.md"] == CARD.encode()


class FailingTransport(RequestsTransport):
    """Loses the connection at every `period`th request. `waits` are the pauses of requests about the container."""

    def __init__(self, certificate, period):
        super().__init__(connection_verify=certificate)
        self.period, self.requests, self.lost, self.waits = period, 0, 0, []
        self.sleep = self.waits.append

    def send(self, request, **options):
        self.requests += 1
        if self.requests % self.period == 0:
            self.lost += 1
            raise ServiceRequestError("Connection reset by peer")
        return super().send(request, **options)


def test_a_large_file_is_sent_in_blocks_over_a_bad_connection(opened, workspace, tmp_path, caplog, monkeypatch):
    monkeypatch.setitem(BACKOFF, "initial_backoff", 0)  # clients of single blobs do not sleep by the transport
    monkeypatch.setitem(BACKOFF, "increment_base", 0)
    monkeypatch.setitem(BACKOFF, "random_jitter_range", 0)
    caplog.set_level("INFO", "azdistill.progress")
    content = os.urandom(1000) * (4 * BLOCK_BYTES // 1000 + 1)
    (tmp_path / "model.safetensors").write_bytes(content)
    transport = FailingTransport(opened.certificates, 3)
    with BlobContainer(opened, transport) as container:
        upload({"model.safetensors": tmp_path / "model.safetensors"}, container, "azdistill/models/1")
    assert uploaded(workspace) == {"models/1/model.safetensors": content}
    assert transport.requests > 6  # list, 5 blocks, commit
    assert transport.lost >= 2
    assert f"register: MB uploaded: {len(content) // 2**20}/{len(content) // 2**20} (" in caplog.messages[-1]


def test_a_storage_that_cannot_be_reached_ends_the_upload_with_one_line(opened, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    transport = FailingTransport(opened.certificates, 1)
    lost = r"Connection reset by peer; run again; complete files are not sent again"
    with BlobContainer(opened, transport) as container, pytest.raises(AzdistillError, match=lost):
        upload({"config.json": tmp_path / "config.json"}, container, "azdistill/models/1")
    assert len(transport.waits) == RETRIES
    assert 60 < sum(transport.waits) < 90


def test_a_local_run_checks_its_workspace_before_the_teacher_is_paid(opened, process, this_machine, workspace):
    options = RunOptions(variables={**os.environ, **this_machine})
    check_registry(options, {})
    workspace.faults.inject("GET", "/datastores/", 403)
    with pytest.raises(AzdistillError, match=r"workspace 'simulated': HTTP 403.*check MLFLOW_TRACKING_URI"):
        check_registry(options, {})
    requests = len(workspace.requests.all)
    check_registry(RunOptions(variables={"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}), {})
    assert len(workspace.requests.all) == requests


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("azureml://other", "MLFLOW_TRACKING_URI='azureml://other': it is no tracking URI of a workspace; copy it"),
        ("http://me:secret@127.0.0.1:9/", "MLflow server 'http://127.0.0.1:9/': cannot be reached .*refused"),
        ("http://[", "MLflow server 'http://\\[': cannot be reached"),
    ],
)
def test_a_registry_that_cannot_be_used_is_reported_before_the_teacher_is_paid(uri, message):
    with pytest.raises(InputError, match=message) as error:
        check_registry(RunOptions(variables={"MLFLOW_TRACKING_URI": uri}), {})
    assert "secret" not in str(error.value)


def test_a_server_that_answers_is_reachable(process, workspace):
    uri = f"http://{process.address}{workspace.arm_id}?api-version=2024-10-01-preview"
    check_registry(RunOptions(variables={"MLFLOW_TRACKING_URI": uri}), {})
    assert [request.status for request in workspace.requests.all] == [401]
