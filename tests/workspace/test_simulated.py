"""The simulated workspace itself: what it refuses, and that a request without a route fails the test."""

from dataclasses import replace
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError

from tests.workspace import azurite, scenarios
from tests.workspace.azurite import Azurite
from tests.workspace.clients import client_for, empty_workspace
from tests.workspace.credential import SimulatedCredential
from tests.workspace.simulated import NAME, SimulatedWorkspace
from tests.workspace.wire import Request


def test_the_workspace_is_found(client: MLClient) -> None:
    workspace = client.workspaces.get(NAME)
    assert (workspace.name, workspace.location, workspace.discovery_url) == (
        NAME,
        "eastus2",
        "https://eastus2.api.azureml.ms/discovery",
    )


def test_computes_quota_and_sizes(client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.computes.quota["standardNCADSA100v4Family"] = (24, 48)
    assert [cluster.name for cluster in client.compute.list()] == ["cpu-cluster", "gpu-cluster"]
    usages = {usage.name["value"]: vars(usage) for usage in client.compute.list_usage()}
    usage = usages["standardNCADSA100v4Family"]
    assert (usage["currentValue"], usage["limit"]) == (24, 48)  # usage.current_value is always None
    assert {size.name: size.gpus for size in client.compute.list_sizes()}["Standard_NC24ads_A100_v4"] == 1


def test_a_request_without_a_route_is_refused_and_logged(client: MLClient, workspace: SimulatedWorkspace) -> None:
    with pytest.raises(HttpResponseError, match=r"has no route for GET .*/serverlessEndpoints/"):
        client.serverless_endpoints.get("student")
    unknown = workspace.requests.unknown()
    workspace.requests.all.clear()  # or the fixture would fail this test
    assert [line.partition("/workspaces/")[2] for line in unknown] == [
        f"{NAME}/serverlessEndpoints/student (api-version 2024-01-01-preview) -> 501"
    ]


@pytest.mark.parametrize("query", [{}, {"api-version": "2099-01-01"}])
def test_an_unknown_api_version_fails_the_test(query: dict[str, str], storage: Azurite) -> None:
    refusal = pytest.raises(AssertionError, match=rf"GET \S*/workspaces/{NAME}( \(api-version 2099-01-01\))? -> 501")
    with refusal, empty_workspace(storage) as workspace:
        workspace.answer(Request("GET", "management.azure.com", workspace.arm_id, query, {}))


def test_another_workspace_is_not_found(workspace: SimulatedWorkspace, credential: SimulatedCredential) -> None:
    with (
        client_for(workspace, credential, "elsewhere") as client,
        pytest.raises(ResourceNotFoundError, match="elsewhere"),
    ):
        client.workspaces.get("elsewhere")


def test_a_token_for_another_audience_is_refused(client: MLClient, credential: SimulatedCredential) -> None:
    credential.audiences["https://management.azure.com/.default"] = "https://vault.azure.net"
    with pytest.raises(ClientAuthenticationError, match=r"A token for https://management\.azure\.com is required"):
        client.workspaces.get(NAME)


def test_a_pipeline_is_sent_with_a_token_for_azure_ml(client: MLClient, workspace: SimulatedWorkspace) -> None:
    scenarios.job(client, "scheduled.yml", "job-1")
    (sent,) = workspace.requests.of("PUT", "/jobs/")
    for_arm = sent.request.headers["authorization"]
    refused = workspace.answer(replace(sent.request, headers={**sent.request.headers, "x-azureml-token": for_arm}))
    assert (sent.status, refused.status) == (201, 401)


def test_without_azurite_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azurite, "PROGRAM", tmp_path / "azurite-blob")
    with (
        pytest.raises(FileNotFoundError, match=r"run `npm ci --ignore-scripts` in .*tests/workspace"),
        azurite.azurite(tmp_path),
    ):
        pass
