"""Storage with a key, and storage that needs the caller's own token."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from tests.workspace import scenarios
from tests.workspace.credential import SimulatedCredential
from tests.workspace.resources.datastores import BLOB_STORE
from tests.workspace.simulated import SimulatedWorkspace

STORAGE = "https://storage.azure.com/.default"


def test_the_client_uses_the_key_of_a_datastore(
    client: MLClient, credential: SimulatedCredential, workspace: SimulatedWorkspace
) -> None:
    scenarios.data(client)
    assert len(workspace.requests.of("POST", f"/{BLOB_STORE}/listSecrets")) == 1
    assert STORAGE not in credential.scopes


def test_a_datastore_without_credentials_needs_the_callers_token(
    client: MLClient, credential: SimulatedCredential, workspace: SimulatedWorkspace
) -> None:
    workspace.datastores.identity = True
    scenarios.data(client)
    assert workspace.requests.of("POST", "listSecrets") == []
    assert STORAGE in credential.scopes
    uploaded = workspace.blobs.contents(workspace.datastores.containers[BLOB_STORE])
    assert list(uploaded.values()) == [(scenarios.EXAMPLES / "rows/train.jsonl").read_bytes()]


def test_storage_refuses_a_token_for_another_audience(
    client: MLClient, credential: SimulatedCredential, workspace: SimulatedWorkspace
) -> None:
    workspace.datastores.identity = True
    credential.audiences[STORAGE] = "https://vault.azure.net"
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
        scenarios.data(client)


def test_when_the_key_is_throttled_the_client_uses_the_callers_token(
    client: MLClient, credential: SimulatedCredential, workspace: SimulatedWorkspace
) -> None:
    """It does not report this: without the role on the storage account, the upload fails there."""
    workspace.faults.inject("POST", "/listSecrets", 429)
    scenarios.data(client)
    assert STORAGE in credential.scopes


def test_the_client_cannot_stream_a_log_from_a_store_without_a_key(
    client: MLClient, workspace: SimulatedWorkspace
) -> None:
    """It signs the URL of the log with the key, and here the key is a credential object."""
    workspace.datastores.identity = True
    scenarios.environment(client, "environment")
    scenarios.job(client, "command.yml", "command-1")
    workspace.jobs["command-1"].script = ["Running", "Running", "Completed"]
    workspace.runs.log("command-1", "user_logs/std_log.txt", "loss 0.1\n")
    with pytest.raises(TypeError, match="SimulatedCredential"):
        client.jobs.stream("command-1")


def test_default_and_other_datastores(client: MLClient) -> None:
    assert client.datastores.get_default().name == BLOB_STORE
    assert [store.name for store in client.datastores.list()] == [BLOB_STORE, "workspaceartifactstore"]
    with pytest.raises(HttpResponseError, match="'elsewhere' was not found"):
        client.datastores.get("elsewhere")
