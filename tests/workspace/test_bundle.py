"""Submit a bundle with the real client: everything in it is sent, and nothing is uploaded twice."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient, load_job

from azdistill.contracts.errors import SpecError
from azdistill.engine.yaml_document import read_document
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job as load_spec
from tests.small_job import quickstart_job
from tests.workspace.azurite import Azurite
from tests.workspace.clients import client_for, empty_workspace
from tests.workspace.credential import SimulatedCredential
from tests.workspace.resources.datastores import BLOB_STORE
from tests.workspace.simulated import SimulatedWorkspace

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the quickstart."""
    folder = tmp_path_factory.mktemp("quickstart")
    return compile_job(load_spec(quickstart_job(folder / "job")), folder / "bundle").parent


@dataclass(frozen=True)
class SubmittedBundle:
    """A bundle that was submitted as quickstart-1, with the client and the workspace."""

    bundle: Path
    client: MLClient
    workspace: SimulatedWorkspace

    def send(self, name: str) -> None:
        self.client.jobs.create_or_update(load_job(self.bundle / "pipeline.yml", params_override=[{"name": name}]))


@pytest.fixture(scope="module")
def submitted(bundle: Path, storage: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SubmittedBundle]:
    """Submitted from another folder: nothing of a bundle depends on the current folder."""
    with empty_workspace(storage) as workspace, client_for(workspace, SimulatedCredential()) as client:
        bundle_in_workspace = SubmittedBundle(bundle, client, workspace)
        with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
            bundle_in_workspace.send("quickstart-1")
        yield bundle_in_workspace


def _tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def document(bundle: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_document(bundle / "pipeline.yml", SpecError, "pipeline").value
    return content


def test_each_node_is_sent_as_in_the_bundle(document: dict[str, Any], submitted: SubmittedBundle) -> None:
    sent = submitted.workspace.jobs["quickstart-1"].properties
    assert list(sent["jobs"]) == list(document["jobs"])
    for name, node in document["jobs"].items():
        sent_node = sent["jobs"][name]
        # every value of an input is sent as text: True, 0.001
        values = {key: (port["value"], port.get("mode")) for key, port in sent_node["inputs"].items()}
        assert values == {key: _value_and_mode(value) for key, value in node["inputs"].items()}
        assert set(sent_node["outputs"]) == set(node["outputs"])
        assert sent_node.get("resources") == node.get("resources")
        assert sent_node["computeId"] == f"{submitted.workspace.arm_id}/computes/{node['compute']}"
    assert sent["identity"] == {"identityType": "Managed"}
    assert sent["tags"] == document["tags"]


def _value_and_mode(value: Any) -> tuple[str, str | None]:
    """The input of a node in a request: a literal, a binding, or a binding with the mode of the node."""
    return (value["path"], value["mode"].capitalize()) if isinstance(value, dict) else (str(value), None)


def test_the_code_of_each_component_is_that_of_the_bundle(document: dict[str, Any], submitted: SubmittedBundle) -> None:
    workspace = submitted.workspace
    sent = workspace.jobs["quickstart-1"].properties["jobs"]
    for name, node in document["jobs"].items():
        version = sent[name]["componentId"].split("/")[-1]
        spec = workspace.assets.get("components", "azureml_anonymous", version)["componentSpec"]
        container = spec["code"].split("/codes/")[1].split("/")[0]
        code = (submitted.bundle / node["component"]).parent / "code"
        assert workspace.blobs.contents(container, "code/") == _tree(code)


def test_inputs_are_uploaded_to_the_path_in_the_job(document: dict[str, Any], submitted: SubmittedBundle) -> None:
    workspace = submitted.workspace
    sent = workspace.jobs["quickstart-1"].properties["inputs"]
    container = workspace.datastores.containers[BLOB_STORE]
    for name, port in document["inputs"].items():
        if isinstance(port, dict):
            path = sent[name]["uri"].removeprefix(f"azureml://datastores/{BLOB_STORE}/paths/")
            local = submitted.bundle / port["path"]
            expected = _tree(local) if local.is_dir() else {"": local.read_bytes()}
            assert workspace.blobs.contents(container, path + "/" * local.is_dir()) == expected
        else:
            assert sent[name] == {"jobInputType": "literal", "value": str(port)}


def test_the_second_submission_uploads_nothing(submitted: SubmittedBundle) -> None:
    """The client finds each snapshot by its hash, and requests no upload."""
    workspace = submitted.workspace
    container, count = workspace.datastores.containers[BLOB_STORE], len(workspace.requests.all)
    written, codes = workspace.blobs.last_modified(container), workspace.assets.of("codes")
    submitted.send("quickstart-2")
    later = [logged.request for logged in workspace.requests.all[count:]]
    hashes = {request.query["hash"] for request in later if "hash" in request.query}
    assert hashes == {code["properties"]["hash_sha256"] for code in codes.values()}
    assert [request for request in later if request.path.endswith("startPendingUpload")] == []
    assert workspace.assets.of("codes") == codes
    assert workspace.blobs.last_modified(container) == written
    first, second = (workspace.jobs[f"quickstart-{number}"].properties for number in (1, 2))
    assert {**first, "properties": {}} == {**second, "properties": {}}  # they hold the commit of the current folder
