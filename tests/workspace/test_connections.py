"""Connections: shown without their secret, which is given to who asks for it."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ResourceNotFoundError

from azdistill.azure_rest.workspace import GROUP, SUBSCRIPTION, WORKSPACE
from azdistill.contracts.errors import InputError
from azdistill.teacher.connection import read_connection
from tests.workspace import scenarios
from tests.workspace.credential import StandInCredential
from tests.workspace.server import serving
from tests.workspace.stand_in import Workspace

KEY = "an-invented-key"


def test_the_key_of_a_connection_comes_only_when_asked_for(client: MLClient, workspace: Workspace) -> None:
    scenarios.connection(client, "serverless.yml")
    assert client.connections.get("deepseek").api_key is None
    assert workspace.ledger.of("POST", "listsecrets") == []
    shown = client.connections.get("deepseek", populate_secrets=True)
    assert (shown.api_key, shown.endpoint) == (KEY, "https://deepseek.eastus2.models.ai.azure.com")


def test_a_connection_without_a_key_is_not_asked_for_one(client: MLClient, workspace: Workspace) -> None:
    scenarios.connection(client, "services.yml")
    assert client.connections.get("foundry", populate_secrets=True).endpoint == "https://foundry.services.ai.azure.com"
    assert workspace.ledger.of("POST", "listsecrets") == []


def test_connections_are_listed_and_removed(client: MLClient) -> None:
    scenarios.connection(client, "serverless.yml")
    scenarios.connection(client, "services.yml")
    assert [one.name for one in client.connections.list()] == ["deepseek", "foundry"]
    client.connections.delete("foundry")
    with pytest.raises(ResourceNotFoundError, match="foundry"):
        client.connections.get("foundry")


def test_a_step_reads_what_the_client_wrote(client: MLClient, workspace: Workspace) -> None:
    """The teacher step asks by itself, with no SDK in its image."""
    scenarios.connection(client, "serverless.yml")
    environ = {SUBSCRIPTION: workspace.subscription, GROUP: workspace.group, WORKSPACE: workspace.name}
    with serving(workspace) as address:
        read = read_connection("deepseek", environ, StandInCredential(), f"http://{address}")
        assert (read.endpoint, read.key) == ("https://deepseek.eastus2.models.ai.azure.com", KEY)
        with pytest.raises(InputError, match="the workspace has no such connection"):
            read_connection("nowhere", environ, StandInCredential(), f"http://{address}")
