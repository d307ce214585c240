"""Schedules: the client waits for their long-running operations."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.simulated import SimulatedWorkspace


@pytest.fixture
def nightly(client: MLClient, workspace: SimulatedWorkspace) -> str:
    workspace.operations.polls = 2
    scenarios.data(client)
    return str(scenarios.schedule(client).name)


def test_the_client_waits_for_the_operation(nightly: str, client: MLClient, workspace: SimulatedWorkspace) -> None:
    assert client.schedules.get(nightly).provisioning_state == "Succeeded"
    assert len(workspace.requests.of("GET", "mfeOperationsStatus")) == 3


def test_a_schedule_is_listed_disabled_and_removed(nightly: str, client: MLClient) -> None:
    assert [(schedule.name, schedule.is_enabled) for schedule in client.schedules.list()] == [(nightly, True)]
    assert client.schedules.begin_disable(nightly).result().is_enabled is False
    assert list(client.schedules.list()) == []
    assert [schedule.name for schedule in client.schedules.list(list_view_type="All")] == [nightly]
    client.schedules.begin_delete(nightly).result()
    with pytest.raises(ResourceNotFoundError, match="'nightly' was not found"):
        client.schedules.get(nightly)


def test_each_run_of_a_schedule_gets_its_trigger_time(nightly: str, workspace: SimulatedWorkspace) -> None:
    job = workspace.schedules.by_name[nightly]["action"]["jobDefinition"]
    assert job["inputs"]["at"]["value"] == "${{creation_context.trigger_time}}"
