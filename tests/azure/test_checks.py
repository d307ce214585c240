"""What can be known before a job is sent, each with what to do about it."""

import pytest
from azure.ai.ml.entities import ServerlessConnection

from azdistill.azure.checks import check_bundle, stop_at_wrong
from azdistill.contracts.errors import InputError


def wrong(client, folder) -> list[str]:
    return [str(check) for check in check_bundle(client, folder) if check.state == "wrong"]


@pytest.fixture
def connection(client):
    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="k"))


def test_all_is_there(bundle, client, workspace, connection):
    workspace.computes.quota["standardESv3Family"] = (4, 100)
    found = stop_at_wrong(check_bundle(client, bundle()))
    assert [check.what for check in found if check.state == "ok"] == [
        "workspace",
        "serverless Standard_E4s_v3",
        "serverless Standard_NC24ads_A100_v4",
        "connection 'deepseek'",
        "default datastore",
    ]
    assert [check for check in found if check.state != "ok"] == []


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"compute": {"cpu": "cpu-cluster", "gpu": "no-cluster"}}, "compute 'no-cluster': the workspace has none"),
        ({"compute": {"gpu_instance_type": "Standard_ND99"}}, "has no such VM size; name another one in compute"),
        (
            {"compute": {"gpu_instance_type": "Standard_NC24ads_A100_v4", "teacher_instances": 30}},
            "cores of standardESv3Family are left in .*, and 30 of it take 120; ask for quota",
        ),
        (
            {"teacher": {"teachers": [{"model": "m", "endpoint": "https://h", "key_variable": "KEY"}]}},
            "its key is in the variable KEY of this machine, which no job in Azure has; put the key into a connection",
        ),
        (
            {"data": {"training_data": "azureml:rows:3"}},
            "inputs.training_data 'azureml:rows:3': the workspace has none of that name; register it",
        ),
        ({"student": {"model": "azureml:tiny:1"}}, "inputs.student 'azureml:tiny:1': the workspace has none"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_sent(bundle, client, connection, sections, words):
    with pytest.raises(InputError, match=words):
        stop_at_wrong(check_bundle(client, bundle(**sections)))


def test_a_missing_connection_and_a_full_quota_are_told_together(bundle, client, workspace):
    workspace.computes.quota["standardNCADSA100v4Family"] = (40, 48)
    found = wrong(client, bundle())
    assert len(found) == 2
    assert "8 of 48 cores of standardNCADSA100v4Family are left" in found[0]
    assert "az ml connection create --name deepseek" in found[1]


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "az login"), (403, "AzureML Data Scientist"), (404, "check config.json"), (503, "Azure is not well")],
)
def test_a_workspace_that_cannot_be_reached_is_the_only_finding(bundle, client, workspace, status, words):
    workspace.faults.order("GET", workspace.name, status, times=50)
    (only,) = wrong(client, bundle())
    assert words in only


def test_a_store_without_a_key_says_which_role_it_takes(bundle, client, workspace, connection):
    workspace.datastores.identity = True
    (found,) = [check for check in check_bundle(client, bundle()) if check.state == "unknown"]
    assert "Storage Blob Data Contributor" in str(found)
