"""Verb train with the real SDK and the simulated workspace: from a bundle to the decision of its gates."""

import json
import signal

import pytest

from tests.azure.conftest import small
from tests.cd.conftest import wait_for
from tests.cd.sdk_az import SdkAz
from tests.cd.simulated_azure import outputs_of
from tests.workspace.fixtures import client, credential, storage, workspace

__all__ = ["client", "credential", "small", "storage", "workspace"]


@pytest.fixture
def azure(client, workspace):
    """The handler of `az`, in place of the simulated Azure of the other tests."""
    workspace.jobs.script = ["NotStarted", "Running", "Completed"]
    handler = SdkAz(client, workspace)
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
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert len(workspace.requests.of("POST", "/cancel")) == 1
