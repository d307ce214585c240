"""Schedules: long-running operations that the client waits for."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.stand_in import Workspace


@pytest.fixture
def nightly(client: MLClient, workspace: Workspace) -> str:
    workspace.operations.polls = 2
    scenarios.data(client)
    return str(scenarios.schedule(client).name)


def test_a_schedule_is_ready_when_its_operation_has_ended(nightly: str, client: MLClient, workspace: Workspace) -> None:
    assert client.schedules.get(nightly).provisioning_state == "Succeeded"
    assert len(workspace.ledger.of("GET", "mfeOperationsStatus")) == 3


def test_a_schedule_is_listed_disabled_and_removed(nightly: str, client: MLClient) -> None:
    assert [(one.name, one.is_enabled) for one in client.schedules.list()] == [(nightly, True)]
    assert client.schedules.begin_disable(nightly).result().is_enabled is False
    assert list(client.schedules.list()) == []
    assert [one.name for one in client.schedules.list(list_view_type="All")] == [nightly]
    client.schedules.begin_delete(nightly).result()
    with pytest.raises(ResourceNotFoundError, match="'nightly' was not found"):
        client.schedules.get(nightly)


def test_each_run_of_a_schedule_knows_its_time(nightly: str, workspace: Workspace) -> None:
    job = workspace.schedules.kept[nightly]["action"]["jobDefinition"]
    assert job["inputs"]["at"]["value"] == "${{creation_context.trigger_time}}"
