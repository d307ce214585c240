"""A bundle goes through the real client: what it says is what is sent, and nothing is uploaded twice."""

import contextlib
import shutil
import subprocess
import sys
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
from tests.workspace.azurite import Azurite
from tests.workspace.connecting import connected, fresh_workspace
from tests.workspace.credential import StandInCredential
from tests.workspace.resources.datastores import BLOB_STORE
from tests.workspace.stand_in import Workspace

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "pipelines" / "quickstart"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart's, compiled as a user compiles it."""
    folder = tmp_path_factory.mktemp("quickstart")
    shutil.copytree(QUICKSTART, folder / "job", ignore=shutil.ignore_patterns("data"))
    generator = [sys.executable, str(QUICKSTART / "generate.py"), "--out", str(folder / "job/data")]
    subprocess.run(generator, check=True, capture_output=True)
    return compile_job(load_spec(folder / "job/job.yaml"), folder / "bundle").parent


@dataclass(frozen=True)
class Submitted:
    """A bundle that was sent once as quickstart-1, and what it was sent with and to."""

    bundle: Path
    client: MLClient
    workspace: Workspace

    def send(self, name: str) -> None:
        self.client.jobs.create_or_update(load_job(self.bundle / "pipeline.yml", params_override=[{"name": name}]))


@pytest.fixture(scope="module")
def submitted(bundle: Path, storage: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Submitted]:
    """Nothing of a bundle depends on where it is sent from."""
    with fresh_workspace(storage) as workspace, connected(workspace, StandInCredential()) as client:
        sent = Submitted(bundle, client, workspace)
        with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
            sent.send("quickstart-1")
        yield sent


def _tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture
def said(bundle: Path) -> dict[str, Any]:
    document: dict[str, Any] = read_document(bundle / "pipeline.yml", SpecError, "pipeline").value
    return document


def test_each_node_is_sent_with_what_the_bundle_says_of_it(said: dict[str, Any], submitted: Submitted) -> None:
    sent = submitted.workspace.jobs["quickstart-1"].properties
    assert list(sent["jobs"]) == list(said["jobs"])
    for name, node in said["jobs"].items():
        there = sent["jobs"][name]
        # every value of an input travels as text, and a yes or no in Python's words
        values = {key: port["value"] for key, port in there["inputs"].items()}
        assert values == {key: str(value) for key, value in node["inputs"].items()}
        assert list(there["outputs"]) == list(node["outputs"])
        assert there.get("resources") == node.get("resources")
        assert there["computeId"] == f"{submitted.workspace.arm_id}/computes/{node['compute']}"
    assert sent["identity"] == {"identityType": "Managed"}
    assert sent["tags"] == said["tags"]


def test_each_component_points_at_the_very_files_of_the_bundle(said: dict[str, Any], submitted: Submitted) -> None:
    workspace = submitted.workspace
    sent = workspace.jobs["quickstart-1"].properties["jobs"]
    for name, node in said["jobs"].items():
        version = sent[name]["componentId"].split("/")[-1]
        spec = workspace.assets.get("components", "azureml_anonymous", version)["componentSpec"]
        container = spec["code"].split("/codes/")[1].split("/")[0]
        code = (submitted.bundle / node["component"]).parent / "code"
        assert workspace.blobs.contents(container, "code/") == _tree(code)


def test_inputs_lie_in_the_blob_store_where_the_job_says(said: dict[str, Any], submitted: Submitted) -> None:
    workspace = submitted.workspace
    sent = workspace.jobs["quickstart-1"].properties["inputs"]
    container = workspace.datastores.containers[BLOB_STORE]
    for name, port in said["inputs"].items():
        if isinstance(port, dict):
            place = sent[name]["uri"].removeprefix(f"azureml://datastores/{BLOB_STORE}/paths/")
            local = submitted.bundle / port["path"]
            expected = _tree(local) if local.is_dir() else {"": local.read_bytes()}
            assert workspace.blobs.contents(container, place + "/" * local.is_dir()) == expected
        else:
            assert sent[name] == {"jobInputType": "literal", "value": str(port)}


def test_the_second_submission_uploads_nothing(submitted: Submitted) -> None:
    """The client looks each snapshot up by its hash, finds it, and asks for no place to put it."""
    workspace = submitted.workspace
    container, seen = workspace.datastores.containers[BLOB_STORE], len(workspace.ledger.seen)
    stamps, codes = workspace.blobs.stamps(container), workspace.assets.of("codes")
    submitted.send("quickstart-2")
    asked = [one.request for one in workspace.ledger.seen[seen:]]
    hashes = {request.query["hash"] for request in asked if "hash" in request.query}
    assert hashes == {code["properties"]["hash_sha256"] for code in codes.values()}
    assert [request for request in asked if request.path.endswith("startPendingUpload")] == []
    assert workspace.assets.of("codes") == codes
    assert workspace.blobs.stamps(container) == stamps
    first, second = (workspace.jobs[f"quickstart-{number}"].properties for number in (1, 2))
    assert {**first, "properties": {}} == {**second, "properties": {}}  # there is the commit of the folder one is in
