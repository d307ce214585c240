"""From a bundle to a served student, by the verbs that the workflows run: the real SDK carries out `az ml` and
`azdistill deploy` in the simulated workspace.

The test plays the steps of the job, which write the student, its answers and gate.json, and register it.
"""

import contextlib
import json
import queue
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from azdistill.azure.deployment.smoke import PREDICTIONS_OUTPUT, PROMPTS_OUTPUT
from azdistill.azure.workspace import connect
from azdistill.cli.main import main
from azdistill.contracts.layout import LINEAGE_FILE, PREDICTIONS_FILE, PROMPTS_FILE
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.registry.gate import read_gate
from azdistill.registry.lineage import Lineage, read_lineage
from tests.azure.conftest import small
from tests.azure.deployments import job_with
from tests.azure.test_deploy import PREDICTIONS, PROMPTS
from tests.cd.conftest import Run
from tests.cd.recording_az import RecordingAz, Reply
from tests.cd.sdk_az import SdkAz
from tests.cd.simulated_azure import outputs_of
from tests.cli.conftest import Done
from tests.registry.conftest import evaluated, inputs
from tests.workspace.fixtures import client, credential, registry, storage, workspace
from tests.workspace.resources.managed_identities import REGISTRY_USER
from tests.workspace.simulated import GROUP, NAME, SUBSCRIPTION

if TYPE_CHECKING:
    import subprocess

    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace

__all__ = ["client", "credential", "evaluated", "inputs", "registry", "small", "storage", "workspace"]

TARGET = {"AZURE_RESOURCE_GROUP": GROUP, "AZURE_ML_WORKSPACE": NAME, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION}
NODES = (PROMPTS_OUTPUT[0], PREDICTIONS_OUTPUT[0], "register")
URI = "azureml://registries/house/models/support/versions/1"


@pytest.fixture
def bundle(small: Path) -> Path:
    """A bundle whose nodes have the names of those that wrote rows and answers."""
    pipeline = small / "pipeline.yml"
    before, jobs, node = pipeline.read_text().partition("jobs:\n")
    pipeline.write_text(before + jobs + "".join(node.replace("register", name) for name in NODES))
    return small


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """The job file that declares the endpoint."""
    path = tmp_path / "job.yaml"
    path.write_text(to_yaml(job_with(smoke_rows=5).model_dump(mode="json", exclude_unset=True)))
    return path


@pytest.fixture
def lineage(inputs: dict[str, Path]) -> Lineage:
    """The lineage that step register writes for the student of the job."""
    return read_lineage(**inputs, gate=read_gate(inputs["evaluation"]))


@pytest.fixture
def azure(
    client: "MLClient", registry: "MLClient", workspace: "SimulatedWorkspace", inputs: dict[str, Path], lineage: Lineage
) -> SdkAz:
    """The handler of `az`. A job that it creates has run to its end, and its student passed."""
    workspace.jobs.script = ["NotStarted", "Running", "Completed"]
    workspace.operations.polls = 0
    handler = SdkAz(client, registry, workspace)
    handler.outputs = {
        "evaluation": {"gate.json": (inputs["evaluation"] / "gate.json").read_text()},
        "report": outputs_of("passed")["report"],
        "registration": {LINEAGE_FILE: json.dumps({"registered_model": "support", "version": 1} | lineage.as_json())},
    }
    handler.node_outputs = {
        PROMPTS_OUTPUT: {PROMPTS_FILE: PROMPTS},
        PREDICTIONS_OUTPUT: {PREDICTIONS_FILE: PREDICTIONS},
    }
    return handler


@pytest.fixture
def registered(client: "MLClient", azure: SdkAz, inputs: dict[str, Path], lineage: Lineage) -> None:
    """The version that step register writes."""
    from azure.ai.ml.entities import Model

    client.models.create_or_update(Model(name="support", version="1", path=inputs["model"], tags=lineage.tags()))


@pytest.fixture
def deploy(
    start: Callable[..., "subprocess.Popen[str]"],
    az: RecordingAz,
    client: "MLClient",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Run the verb `deploy` as a process. Its `azdistill` runs in this thread, which may set signal handlers."""
    calls: queue.Queue[Sequence[str]] = queue.Queue()
    replies: queue.Queue[Reply] = queue.Queue()
    private: Any = client

    def ask(arguments: Sequence[str]) -> Reply:
        calls.put(arguments)
        return replies.get(timeout=60)

    def azdistill(arguments: Sequence[str]) -> Reply:
        monkeypatch.setattr(sys, "argv", ["azdistill", *arguments])
        with pytest.raises(SystemExit) as ended:
            main(lambda address: connect(address, private._credential, private._kwargs["transport"]))
        return Reply(int(ended.value.code or 0), *capfd.readouterr())

    def call(*arguments: str | Path) -> Done:
        az.azdistill = ask
        with start("deploy", *arguments, **TARGET) as process:
            while process.poll() is None:
                with contextlib.suppress(queue.Empty):
                    replies.put(azdistill(calls.get(timeout=0.02)))
            out, err = process.communicate()
        return Done(process.returncode, out, err)

    monkeypatch.chdir(tmp_path)
    return call


def test_from_a_bundle_to_a_served_student(
    cd: Run,
    deploy: Run,
    az: RecordingAz,
    registered: None,
    registry: "MLClient",
    workspace: "SimulatedWorkspace",
    lineage: Lineage,
    outputs: Callable[[], dict[str, str]],
    bundle: Path,
    job: Path,
) -> None:
    trained = cd("train", "--job", bundle, "--poll", "0.02", **TARGET)
    assert trained.code == 0, trained.err
    values = outputs()
    assert (values["gate"], values["model"], values["version"]) == ("passed", "support", "1")
    for child in workspace.jobs[values["job"]].children:
        child.script = ["Completed"]
    assert "**The student passed its gates.**" in cd("comment").out

    version = ("--model", values["model"], "--version", values["version"], "--job-name", values["job"])
    for expected in ("promoted", "promoted already"):
        promoted = cd("promote", *version, **TARGET)
        assert (promoted.code, f"{URI}: {expected}" in promoted.out) == (0, True), promoted.err
    assert len(workspace.requests.of("POST", "/import")) == 1
    assert registry.models.get("support", "1").tags["azdistill_model_digest"] == lineage.model_digest

    model_uri = outputs()["model_uri"]
    for expected in (f"{URI} has all traffic, by deployment blue", f"{URI} already has all traffic, nothing done"):
        deployed = deploy("--job", job, "--model", model_uri, "--answers", values["job"])
        assert (deployed.code, expected in deployed.out) == (0, True), deployed
    endpoint = workspace.online["support"]
    assert endpoint.traffic == {"blue": 100}
    assert endpoint.deployments["blue"].body["properties"]["model"] == URI
    assert workspace.online.scored == ["blue"] * 5


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("no role", "AuthorizationFailed"),
        ("no registry", "'house' was not found"),
        ("deleted", "support:1 was deleted"),
    ],
)
def test_a_promotion_that_azure_refuses_changes_nothing(
    fault: str,
    text: str,
    cd: Run,
    registered: None,
    workspace: "SimulatedWorkspace",
    outputs: Callable[[], dict[str, str]],
    bundle: Path,
) -> None:
    assert cd("train", "--job", bundle, "--poll", "0.02", **TARGET).code == 0
    house = workspace.registries["house"]
    if fault == "no role":
        workspace.roles.remove(REGISTRY_USER)
    elif fault == "deleted":
        house.put("models", "support", "1", {"modelType": "custom_model", "modelUri": "https://h/deleted"})
        house.delete("models", "support", "1")
    else:
        workspace.registries.by_name.pop("house")
    refused = cd("promote", "--model", "support", "--version", "1", "--job-name", outputs()["job"], **TARGET)
    assert (refused.code, house.of("models")) == (1, {})
    assert (refused.err.startswith(f"{URI}: "), len(refused.err.splitlines())) == (True, 1)
    assert text in refused.err
