"""A bundle's components and environments in a registry: addresses, what the real SDK publishes, and a submission."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.azure.registry import entity, from_registry, publish, shared_in
from azdistill.azure.submission import submit
from azdistill.azure.workspace import beside
from azdistill.contracts.errors import InputError
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from tests.azure.test_submission import edited

PIPELINES = Path(__file__).parents[2] / "pipelines"
WRITTEN = {"PUT", "POST", "PATCH", "DELETE"}


def test_what_is_shared_is_called_by_its_content(small):
    shared = shared_in(small)
    component, environment = (
        shared["./components/say/component.yml"],
        next(one for one in shared.values() if one.kind == "environments"),
    )
    assert component.address("house").startswith("azureml://registries/house/components/say/versions/")
    assert environment.address("house").startswith("azureml://registries/house/environments/cpu/versions/")
    after = shared_in(edited(small))
    assert after["./components/say/component.yml"].version != component.version
    assert after[str(environment.path)] == environment
    (small / "environments/cpu/environment.yml").write_text("name: cpu\nversion: '1'\nimage: debian\n")
    assert shared_in(small)["./components/say/component.yml"].version != after["./components/say/component.yml"].version


def test_the_sdk_takes_what_would_be_published(small):
    shared = shared_in(small)
    for one in shared.values():
        found = entity(one, "house", shared)
        assert (found.name, found.version) == (one.name, one.version)
        if one.kind == "components":
            assert found.environment == shared[
                next(key for key, it in shared.items() if it.kind == "environments")
            ].address("house")


def test_a_bundle_is_sent_with_its_nodes_out_of_the_registry(small, client, workspace):
    workspace.jobs.script = ["Running"]
    plain = submit(client, small)
    sent = submit(client, small, registry="house")
    node = workspace.jobs[sent.name].properties["jobs"]["register"]
    assert node["componentId"] == shared_in(small)["./components/say/component.yml"].address("house")
    assert sent.name != plain.name
    assert submit(client, small, registry="house").attached
    assert "azureml://registries/house/components/say" in from_registry(small, "house").getvalue()


@pytest.fixture
def largest(tmp_path) -> Path:
    """The bundle of the largest ready job, with rows that it has from the quickstart."""
    shutil.copytree(PIPELINES / "support", tmp_path / "support")
    rows = [PIPELINES / "quickstart" / "generate.py", "--out", tmp_path / "quickstart" / "data"]
    subprocess.run([sys.executable, *rows], check=True, capture_output=True)
    return compile_job(load_job(tmp_path / "support" / "job.yaml"), tmp_path / "bundle").parent


@pytest.mark.slow
def test_the_largest_bundle_is_published_once_and_its_job_sends_no_code(largest, registry, client, workspace, capfd):
    first = list(publish(registry, largest, "house"))
    assert len(first) == len(shared_in(largest)) == 10
    assert all(fresh for _, fresh in first)
    assert capfd.readouterr() == ("", "")
    house = workspace.registries["house"]
    for name, component in house.of("components").items():
        spec = component["componentSpec"]
        assert spec["environment"].startswith("azureml://registries/house/environments/azdistill-")
        code = house.get("codes", *spec["code"].removeprefix("azureml://registries/house/codes/").split("/versions/"))
        assert "?" not in code["codeUri"]  # the token that opened it stays out
        step = name.removeprefix("azdistill_").partition(":")[0]
        assert f"code/azdistill/steps/{step}.py" in workspace.blobs.names(_container(code["codeUri"], workspace))
    workspace.requests.all.clear()
    assert list(publish(registry, largest, "house")) == [(address, False) for address, _ in first]
    job = submit(client, largest, registry="house").name
    written = [seen.request for seen in workspace.requests.all if seen.request.method in WRITTEN]
    assert [request.path for request in written if "/jobs/" not in request.path and "Secrets" not in request.path] == []
    sent = workspace.jobs[job].properties["jobs"]
    assert {node["componentId"] for node in sent.values()} <= {address for address, _ in first}


def _container(uri: str, workspace) -> str:
    return uri.removeprefix(f"{workspace.blobs.azurite.account_url}/").partition("/")[0]


def test_what_a_missing_role_left_out_is_published_the_next_time(small, registry, workspace):
    workspace.faults.inject("PUT", "/components/", 403)
    with pytest.raises(
        InputError, match=r"^registry 'house', say \w+: HTTP 403 .*'AzureML Registry User' given to you"
    ):
        list(publish(registry, small, "house"))
    assert [fresh for _, fresh in publish(registry, small, "house")] == [False, True]


def test_a_registry_is_opened_with_the_login_of_the_workspaces_client(client, credential, workspace):
    workspace.registries.create("house")
    assert list(beside(client, "house").models.list(name="none")) == []
    assert {seen.request.host for seen in workspace.requests.all} == {
        "eastus.api.azureml.ms",
        "cert-eastus2.experiments.azureml.net",
    }
