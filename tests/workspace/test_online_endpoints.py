"""Online endpoints with the real client: operations, their failures, traffic, logs and scoring."""

from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.resources.online_endpoints import Failure
from tests.workspace.simulated import SimulatedWorkspace


@pytest.fixture
def endpoint(client: MLClient) -> Any:
    scenarios.model(client)
    return scenarios.endpoint(client)


def _set(client: MLClient, traffic: dict[str, int], mirrored: dict[str, int] | None = None) -> Any:
    existing = client.online_endpoints.get("support")
    existing.traffic, existing.mirror_traffic = traffic, mirrored or {}
    return client.online_endpoints.begin_create_or_update(existing).result()


def test_a_deployment_serves_when_its_operation_has_ended(
    client: MLClient, workspace: SimulatedWorkspace, endpoint: Any
) -> None:
    workspace.operations.polls = 2
    assert scenarios.deployment(client, "blue").provisioning_state == "Succeeded"
    assert _set(client, {"blue": 100}).traffic == {"blue": 100}
    assert endpoint.scoring_uri == "https://support.eastus2.inference.ml.azure.com/"
    assert client.online_deployments.get_logs("blue", "support", 10, container_type="inference-server")


def test_a_failed_operation_has_code_and_reason(client: MLClient, workspace: SimulatedWorkspace, endpoint: Any) -> None:
    workspace.online.failures = [Failure("OutOfQuota", "Not enough quota.", log="none")]
    with pytest.raises(HttpResponseError, match=r"OutOfQuota\) Not enough quota"):
        scenarios.deployment(client, "blue")
    assert client.online_deployments.get("blue", "support").provisioning_state == "Failed"
    with pytest.raises(HttpResponseError, match="BadArgument"):
        _set(client, {"blue": 100})


def test_traffic_that_azure_refuses(client: MLClient, workspace: SimulatedWorkspace, endpoint: Any) -> None:
    for color in ("blue", "green"):
        scenarios.deployment(client, color)
    for traffic, mirrored in (({"blue": 50}, {}), ({"blue": 100}, {"green": 60}), ({"green": 100}, {"green": 10})):
        with pytest.raises(HttpResponseError, match="is not valid"):
            _set(client, traffic, mirrored)
    _set(client, {"blue": 100}, {"green": 10})
    with pytest.raises(HttpResponseError, match="has traffic"):
        client.online_deployments.begin_delete("blue", "support")
    client.online_deployments.begin_delete("green", "support").result()
    assert list(workspace.online["support"].deployments) == ["blue"]


def test_a_second_operation_is_a_conflict(client: MLClient, workspace: SimulatedWorkspace, endpoint: Any) -> None:
    workspace.online["support"].state = "Updating"
    with pytest.raises(ResourceExistsError, match="already an operation in progress"):
        scenarios.deployment(client, "blue")


def test_an_endpoint_is_removed_with_its_deployments(client: MLClient, endpoint: Any) -> None:
    scenarios.deployment(client, "blue")
    client.online_endpoints.begin_delete("support").result()
    with pytest.raises(ResourceNotFoundError, match="support"):
        client.online_endpoints.get("support")
