"""Storage with a key and storage without one: then the caller's own token opens it."""

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from tests.workspace import scenarios
from tests.workspace.credential import StandInCredential
from tests.workspace.resources.datastores import BLOB_STORE
from tests.workspace.stand_in import Workspace

STORAGE = "https://storage.azure.com/.default"


def test_a_datastore_with_a_key_gives_it_out(
    client: MLClient, credential: StandInCredential, workspace: Workspace
) -> None:
    scenarios.data(client)
    assert len(workspace.ledger.of("POST", f"/{BLOB_STORE}/listSecrets")) == 1
    assert STORAGE not in credential.scopes


def test_a_datastore_without_credentials_is_opened_with_the_callers_token(
    client: MLClient, credential: StandInCredential, workspace: Workspace
) -> None:
    workspace.datastores.identity = True
    scenarios.data(client)
    assert workspace.ledger.of("POST", "listSecrets") == []
    assert STORAGE in credential.scopes
    uploaded = workspace.blobs.contents(workspace.datastores.containers[BLOB_STORE])
    assert list(uploaded.values()) == [(scenarios.EXAMPLES / "rows/train.jsonl").read_bytes()]


def test_storage_refuses_a_token_for_somebody_else(
    client: MLClient, credential: StandInCredential, workspace: Workspace
) -> None:
    workspace.datastores.identity = True
    credential.audiences[STORAGE] = "https://vault.azure.net"
    with pytest.raises(ClientAuthenticationError, match="AuthenticationFailed"):
        scenarios.data(client)


def test_a_throttled_secret_is_made_up_for_with_the_callers_token(
    client: MLClient, credential: StandInCredential, workspace: Workspace
) -> None:
    """The client doesn't say so: without the role on the storage account, the upload fails there."""
    workspace.faults.order("POST", "/listSecrets", 429)
    scenarios.data(client)
    assert STORAGE in credential.scopes


def test_the_client_cannot_stream_a_command_whose_log_lies_in_a_store_without_a_key(
    client: MLClient, workspace: Workspace
) -> None:
    """It signs the log's address with the key, which is a credential here."""
    workspace.datastores.identity = True
    scenarios.environment(client, "environment")
    scenarios.job(client, "command.yml", "command-1")
    workspace.jobs["command-1"].script = ["Running", "Running", "Completed"]
    workspace.runs.log("command-1", "user_logs/std_log.txt", "loss 0.1\n")
    with pytest.raises(TypeError, match="StandInCredential"):
        client.jobs.stream("command-1")


def test_default_and_other_datastores(client: MLClient) -> None:
    assert client.datastores.get_default().name == BLOB_STORE
    assert [store.name for store in client.datastores.list()] == [BLOB_STORE, "workspaceartifactstore"]
    with pytest.raises(HttpResponseError, match="'elsewhere' was not found"):
        client.datastores.get("elsewhere")
