"""What can be known before a job is sent, each with what to do about it."""

import re
from datetime import date

import pytest
from azure.ai.ml.constants import _common
from azure.ai.ml.entities import ServerlessConnection

from azdistill.azure.checks.order import check_bundle, check_workspace, stop_at_wrong
from azdistill.contracts.errors import InputError
from azdistill.job.models import AS_OF


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
        "inputs.student",
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
    workspace.faults.inject("GET", workspace.name, status, times=50)
    (only,) = wrong(client, bundle())
    assert words in only


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("azureml/models/Phi-4-mini-instruct/versions/2", "has no such version of it, but 1; name one of these"),
        ("azureml/models/Phi-9/versions/1", "has none of that name; .*az ml model list --registry-name azureml"),
        ("house/models/Phi-4/versions/1", "there is no registry 'house'; .*: az ml registry list"),
    ],
)
def test_a_student_is_looked_up_in_its_registry(bundle, client, connection, model, words):
    with pytest.raises(InputError, match=f"inputs.student 'azureml://registries/{model}': .*{words}"):
        stop_at_wrong(check_bundle(client, bundle(student={"model": f"azureml://registries/{model}"})))


def test_a_registry_that_does_not_answer_is_not_held_against_the_student(bundle, client, workspace, connection):
    workspace.faults.inject("GET", "/models/Phi-4-mini-instruct", 403, times=9)
    (found,) = [check for check in check_bundle(client, bundle()) if check.state != "ok"]
    assert (found.state, "HTTP 403" in found.detail) == ("unknown", True)


RETIRED = f"teacher 'deepseek-v4-flash': Azure serves it no more, since 2028-02-20 (as of {AS_OF}); name another one"


@pytest.mark.parametrize(("day", "told"), [(date(2028, 2, 19), []), (date(2028, 2, 20), [RETIRED])])
def test_a_teacher_that_azure_serves_no_more_is_told_from_its_day_on(bundle, client, connection, day, told):
    folder = bundle(teacher={"teachers": [{"model": "deepseek-v4-flash", "connection": "deepseek"}]})
    assert [str(check) for check in check_bundle(client, folder, today=day) if check.state != "ok"] == told


SPOT_NODE = """\
    compute: serverless
    resources: {instance_type: Standard_NC24ads_A100_v4}
    queue_settings: {job_tier: Spot}
"""
SPOT = "serverless Standard_NC24ads_A100_v4 (spot): "


@pytest.mark.parametrize(
    ("quota", "lent", "words"),
    [
        ((0, 48), True, None),
        ((40, 48), True, "8 of 48 cores of TotalLowPriorityCores are left in eastus2, and 1 of it take 24; ask for"),
        ((0, 48), False, "eastus2 has none of it as spot; leave the tier out"),
    ],
)
def test_a_spot_node_takes_of_the_quota_that_all_families_share(small, client, workspace, quota, lent, words):
    """A row of the family, with no limit of its own, stands beside it."""
    pipeline = small / "pipeline.yml"
    pipeline.write_text(pipeline.read_text().replace("    compute: azureml:cpu-cluster\n", SPOT_NODE))
    workspace.computes.quota |= {"TotalLowPriorityCores": quota, "standardNCADSA100v4Family": (0, -1)}
    workspace.computes.spot_offered["Standard_NC24ads_A100_v4"] = lent
    found = wrong(client, small)
    assert len(found) == (words is not None)
    assert all(line.startswith(f"{SPOT}{words}") for line in found)


@pytest.mark.parametrize(("identity", "way"), [(False, "by its own key"), (True, "with your own identity")])
def test_whether_one_may_write_is_tried_and_nothing_is_left_behind(client, workspace, identity, way):
    workspace.datastores.identity = identity
    found = list(check_workspace(client))[-1]
    assert str(found) == f"default datastore: workspaceblobstore, {way}, may be written to"
    assert workspace.blobs.names(workspace.datastores.containers["workspaceblobstore"]) == []


def test_who_may_not_write_is_told_the_role(client, workspace, credential):
    workspace.datastores.identity = True
    credential.audiences["https://storage.azure.com/.default"] = "https://vault.azure.net"
    found = list(check_workspace(client))[-1]
    assert found.state == "wrong"
    told = (
        r"with your own identity: it may not be written to \(\w+\); it needs the role 'Storage Blob Data Contributor': "
    )
    assert re.search(told + "az role assignment create", str(found))


def test_a_store_that_is_out_of_reach_is_told_as_such(client, workspace, monkeypatch):
    monkeypatch.setitem(_common.STORAGE_ACCOUNT_URLS, "AzureBlob", "https://127.0.0.1:1/{}")
    found = list(check_workspace(client))[-1]
    assert (found.state, found.move) == ("wrong", "where the storage is private, submit from its network")
