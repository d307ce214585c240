"""Verb infra: previewed before it is deployed, deletes refused, deployed twice."""

import pytest

from tests.cd.recording_az import failure

STORAGE = "/subscriptions/s/resourceGroups/group/providers/Microsoft.Storage/storageAccounts/st"


@pytest.fixture
def infra(cd, tmp_path):
    for name in ("dev.bicepparam", "prod.bicepparam"):
        (tmp_path / name).write_text("using 'main.bicep'\n")
    (tmp_path / "shared.bicep").touch()

    def call(*arguments):
        return cd("infra", "--template", "main.bicep", "--parameters", "dev.bicepparam", *arguments)

    return call


def change(kind):
    return {"changeType": kind, "resourceId": STORAGE}


def test_it_is_compiled_previewed_deployed_twice_and_previewed_again(infra, az, azure):
    azure.changes = [[change("Create")], [change("NoChange")]]
    done = infra()
    assert (done.code, azure.deployments) == (0, 2), done.err
    assert [" ".join(call[:4] if call[0] == "bicep" else call[:3]) for call in az.calls] == [
        "bicep build --file main.bicep",
        "bicep build --file shared.bicep",
        "bicep build-params --file dev.bicepparam",
        "bicep build-params --file prod.bicepparam",
        "deployment group what-if",
        "deployment group create",
        "deployment group create",
        "deployment group what-if",
    ]
    assert f"Create       {STORAGE}" in done.out
    assert "idempotent: a further deployment creates and deletes nothing" in done.out


def test_a_what_if_that_would_delete_is_refused(infra, azure):
    azure.changes = [[change("Modify"), change("Delete")]]
    done = infra()
    assert (done.code, azure.deployments) == (1, 0)
    assert f"it would delete {STORAGE}; keep these resources in the template, or allow it with --allow-del" in done.err


def test_a_delete_that_is_allowed_is_deployed(infra, azure):
    azure.changes = [[change("Delete")], []]
    assert (infra("--allow-delete").code, azure.deployments) == (0, 2)


def test_a_preview_deploys_nothing(infra, azure):
    azure.changes = [[change("Create")]]
    assert (infra("--preview").code, azure.deployments) == (0, 0)


def test_a_template_that_is_not_idempotent_fails(infra, azure):
    azure.changes = [[change("Create")], [change("Create")]]
    done = infra()
    assert (done.code, f"a further deployment would create or delete {STORAGE}" in done.err) == (1, True)


def test_a_template_that_does_not_compile_is_not_deployed(infra, az, azure):
    az.inject("bicep build", failure("main.bicep(3,7) : Error BCP018: Expected the = character"))
    done = infra()
    assert (done.code, azure.deployments, "BCP018" in done.err) == (1, 0, True)


def test_missing_parameters_are_wrong_input(cd, az):
    done = cd("infra", "--parameters", "nowhere.bicepparam")
    assert (done.code, az.calls) == (2, [])
    assert "nowhere.bicepparam: no such file; give a .bicepparam file" in done.err
