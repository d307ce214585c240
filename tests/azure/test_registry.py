"""Publish components and environments in a registry with the real SDK, and submit a bundle that uses them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.azure.registry import bundle_assets, pipeline_from_registry, publish, sdk_entity
from azdistill.azure.submission import submit
from azdistill.azure.workspace import registry_client
from azdistill.contracts.errors import InputError
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from tests.azure.test_submission import edited

PIPELINES = Path(__file__).parents[2] / "pipelines"
WRITE_METHODS = {"PUT", "POST", "PATCH", "DELETE"}


def environment_of(assets):
    return next(asset for asset in assets.values() if asset.kind == "environments")


def test_a_version_is_a_hash_of_the_content(small):
    assets = bundle_assets(small)
    component, environment = assets["./components/say/component.yml"], environment_of(assets)
    assert component.address("house").startswith("azureml://registries/house/components/say/versions/")
    assert environment.address("house").startswith("azureml://registries/house/environments/cpu/versions/")
    after = bundle_assets(edited(small))
    assert after["./components/say/component.yml"].version != component.version
    assert after[str(environment.path)] == environment
    (small / "environments/cpu/environment.yml").write_text("name: cpu\nversion: '1'\nimage: debian\n")
    assert bundle_assets(small)["./components/say/component.yml"].version != (
        after["./components/say/component.yml"].version
    )


def test_the_sdk_loads_what_is_published(small):
    assets = bundle_assets(small)
    for asset in assets.values():
        entity = sdk_entity(asset, "house", assets)
        assert (entity.name, entity.version) == (asset.name, asset.version)
        if asset.kind == "components":
            assert entity.environment == environment_of(assets).address("house")


def test_a_bundle_is_submitted_with_components_of_the_registry(small, client, workspace):
    workspace.jobs.script = ["Running"]
    plain = submit(client, small)
    sent = submit(client, small, registry="house")
    node = workspace.jobs[sent.name].properties["jobs"]["register"]
    assert node["componentId"] == bundle_assets(small)["./components/say/component.yml"].address("house")
    assert sent.name != plain.name
    assert submit(client, small, registry="house").attached
    assert "azureml://registries/house/components/say" in pipeline_from_registry(small, "house").getvalue()


@pytest.fixture
def largest(tmp_path) -> Path:
    """The bundle of the largest ready job, which uses the rows of the quickstart."""
    shutil.copytree(PIPELINES / "support", tmp_path / "support")
    rows = [PIPELINES / "quickstart" / "generate.py", "--out", tmp_path / "quickstart" / "data"]
    subprocess.run([sys.executable, *rows], check=True, capture_output=True)
    return compile_job(load_job(tmp_path / "support" / "job.yaml"), tmp_path / "bundle").parent


@pytest.mark.slow
def test_the_largest_bundle_is_published_once_and_its_job_sends_no_code(largest, registry, client, workspace):
    first = list(publish(registry, largest, "house"))
    assert len(first) == len(bundle_assets(largest)) == 10
    assert all(is_new for _, is_new in first)
    house = workspace.registries["house"]
    for name, component in house.of("components").items():
        spec = component["componentSpec"]
        assert spec["environment"].startswith("azureml://registries/house/environments/azdistill-")
        code = house.get("codes", *spec["code"].removeprefix("azureml://registries/house/codes/").split("/versions/"))
        assert "?" not in code["codeUri"]  # without the SAS token
        step = name.removeprefix("azdistill_").partition(":")[0]
        assert f"code/azdistill/steps/{step}.py" in workspace.blobs.names(_container(code["codeUri"], workspace))
    workspace.requests.all.clear()
    assert list(publish(registry, largest, "house")) == [(address, False) for address, _ in first]
    job = submit(client, largest, registry="house").name
    written = [logged.request for logged in workspace.requests.all if logged.request.method in WRITE_METHODS]
    assert [request.path for request in written if "/jobs/" not in request.path and "Secrets" not in request.path] == []
    sent = workspace.jobs[job].properties["jobs"]
    assert {node["componentId"] for node in sent.values()} <= {address for address, _ in first}


def _container(uri: str, workspace) -> str:
    return uri.removeprefix(f"{workspace.blobs.azurite.account_url}/").partition("/")[0]


def test_after_a_missing_role_the_rest_is_published(small, registry, workspace):
    workspace.faults.inject("PUT", "/components/", 403)
    with pytest.raises(InputError) as error:
        list(publish(registry, small, "house"))
    (problem,) = error.value.problems
    assert problem.code == "forbidden"
    assert problem.subject.startswith("registry 'house', say ")
    assert "'AzureML Registry User'" in problem.fix
    assert [is_new for _, is_new in publish(registry, small, "house")] == [False, True]


def test_a_registry_client_uses_the_credential_of_the_workspaces_client(client, credential, workspace):
    workspace.registries.create("house")
    assert list(registry_client(client, "house").models.list(name="none")) == []
    assert {logged.request.host for logged in workspace.requests.all} == {
        "eastus.api.azureml.ms",
        "cert-eastus2.experiments.azureml.net",
    }
