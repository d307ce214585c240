"""The verbs with the real SDK and the simulated workspace: from a bundle to a promoted student."""

import json
import signal

import pytest

from azdistill.registry.lineage import DIGEST_TAG
from tests.azure.conftest import small
from tests.cd.conftest import wait_for
from tests.cd.sdk_az import SdkAz
from tests.cd.simulated_azure import DIGEST, outputs_of
from tests.workspace.fixtures import client, credential, registry, storage, workspace

__all__ = ["client", "credential", "registry", "small", "storage", "workspace"]


@pytest.fixture
def azure(client, registry, workspace):
    """The handler of `az`, in place of the simulated Azure of the other tests."""
    workspace.jobs.script = ["NotStarted", "Running", "Completed"]
    handler = SdkAz(client, registry, workspace)
    handler.outputs = {name: files for name, files in outputs_of("passed").items() if name != "registration"}
    return handler


@pytest.fixture
def train(cd, small):
    def call(*arguments):
        return cd("train", "--job", small, "--poll", "0.02", *arguments)

    return call


def test_a_bundle_is_submitted_once_and_a_refused_student_is_exit_code_3(train, azure, workspace, outputs):
    azure.outputs["evaluation"] = outputs_of("refused")["evaluation"]
    done = train("--input", "rows=20")
    assert (done.code, outputs()["gate"]) == (3, "refused"), done.err
    name = outputs()["job"]
    job = workspace.jobs[name]
    assert job.properties["inputs"]["rows"]["value"] == "20"
    assert (train("--input", "rows=20").code, len(workspace.requests.of("PUT", "/jobs/"))) == (3, 1)


def test_the_summary_is_that_of_the_downloaded_report(train, cd, tmp_path, outputs):
    assert train().code == 1  # its gates passed, and this bundle registers nothing
    assert outputs()["gate"] == "passed"
    assert cd("summary").code == 0
    assert "| min_gain | 0.1 | 0.3 | passed |" in (tmp_path / "summary.md").read_text()
    assert json.loads((tmp_path / "cd-results" / "job.json").read_text())["gate"] == "passed"


def test_a_cancelled_wait_cancels_the_job_in_the_workspace(start, small, azure, workspace, az):
    workspace.jobs.script = ["Running"]
    with start("train", "--job", small, "--poll", "0.02") as process:
        wait_for(lambda: len(az.of("ml job show")) > 2)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert len(workspace.requests.of("POST", "/cancel")) == 1


def test_a_student_is_trained_and_promoted_once(train, cd, client, azure, registry, workspace, outputs, tmp_path):
    from azure.ai.ml.entities import Model

    (tmp_path / "config.json").write_text("{}")
    tags = {DIGEST_TAG: DIGEST}
    client.models.create_or_update(Model(name="student", version="3", path=tmp_path / "config.json", tags=tags))
    azure.outputs = outputs_of("passed")
    assert train().code == 0
    promote = ("promote", "--model", outputs()["model"], "--version", outputs()["version"])
    for expected in ("promoted", "promoted already"):
        done = cd(*promote, "--job-name", outputs()["job"])
        assert (done.code, f"versions/3: {expected}" in done.out) == (0, True), done.err
    assert registry.models.get("student", version="3").tags["azdistill_model_digest"] == DIGEST
    assert len(workspace.requests.of("POST", "/import")) == 1
    workspace.registries["house"].versions["models", "student"]["3"]["tags"]["azdistill_model_digest"] = "other"
    refused = cd(*promote, "--job-name", outputs()["job"])
    assert (refused.code, "the registry has it already, with other content" in refused.err) == (1, True)
