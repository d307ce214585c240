"""Connections are returned without their secret, unless the client requests it."""

import contextlib

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from azdistill.azure_rest.workspace import GROUP, SUBSCRIPTION, WORKSPACE
from azdistill.contracts.errors import InputError
from azdistill.teacher.connection import read_connection
from tests.workspace import scenarios
from tests.workspace.clouds import PUBLIC, US_GOVERNMENT, SimulatedCloud
from tests.workspace.credential import SimulatedCredential
from tests.workspace.first_day import FOUNDRY
from tests.workspace.server import serving
from tests.workspace.simulated import SimulatedWorkspace

KEY = "an-invented-key"


def test_the_key_of_a_connection_is_returned_on_request_only(client: MLClient, workspace: SimulatedWorkspace) -> None:
    scenarios.connection(client, "serverless.yml")
    assert client.connections.get("deepseek").api_key is None
    assert workspace.requests.of("POST", "listsecrets") == []
    connection = client.connections.get("deepseek", populate_secrets=True)
    assert (connection.api_key, connection.endpoint) == (KEY, "https://deepseek.eastus2.models.ai.azure.com")


def test_no_secret_is_requested_for_a_connection_without_a_key(client: MLClient, workspace: SimulatedWorkspace) -> None:
    scenarios.connection(client, "services.yml")
    assert client.connections.get("foundry", populate_secrets=True).endpoint == "https://foundry.services.ai.azure.com"
    assert workspace.requests.of("POST", "listsecrets") == []


def test_connections_are_listed_and_removed(client: MLClient) -> None:
    scenarios.connection(client, "serverless.yml")
    scenarios.connection(client, "services.yml")
    assert [connection.name for connection in client.connections.list()] == ["deepseek", "foundry"]
    client.connections.delete("foundry")
    with pytest.raises(ResourceNotFoundError, match="foundry"):
        client.connections.get("foundry")


def test_a_step_reads_a_connection_that_the_client_wrote(client: MLClient, workspace: SimulatedWorkspace) -> None:
    """The teacher step requests it without the SDK, which its image does not have."""
    scenarios.connection(client, "serverless.yml")
    environ = {SUBSCRIPTION: workspace.subscription, GROUP: workspace.group, WORKSPACE: workspace.name}
    with serving(workspace) as address:
        read = read_connection("deepseek", environ, SimulatedCredential(), f"http://{address}")
        assert read.url == "https://deepseek.eastus2.models.ai.azure.com/v1/chat/completions"
        assert (read.key, read.needs_token) == (KEY, False)
        with pytest.raises(InputError, match="the workspace has no such connection"):
            read_connection("nowhere", environ, SimulatedCredential(), f"http://{address}")


@pytest.mark.parametrize("cloud", [PUBLIC, US_GOVERNMENT])
def test_a_step_reads_a_connection_in_its_own_cloud(workspace: SimulatedWorkspace, cloud: SimulatedCloud) -> None:
    """A token for the management address of another cloud is refused."""
    workspace.cloud = US_GOVERNMENT
    workspace.connections.by_name["foundry"] = {**FOUNDRY, "credentials": {"key": KEY}}
    environ = {SUBSCRIPTION: workspace.subscription, GROUP: workspace.group, WORKSPACE: workspace.name}
    environ["AZUREML_CURRENT_CLOUD"] = cloud.name
    with serving(workspace) as address:
        refused = pytest.raises(InputError, match="HTTP 401")
        with contextlib.nullcontext() if cloud is US_GOVERNMENT else refused:
            read = read_connection("foundry", environ, SimulatedCredential(), f"http://{address}")
            assert read.key == KEY
