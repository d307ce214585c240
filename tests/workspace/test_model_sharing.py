"""Models that the real client shares with a registry, and what Azure refuses."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.exceptions import ValidationException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.resources.managed_identities import REGISTRY_USER
from tests.workspace.simulated import SimulatedWorkspace

Share = Callable[..., Any]


@pytest.fixture
def share(client: MLClient, registry: MLClient) -> Share:
    """Share a version of the example's model, which the workspace has once, under its own name and version."""
    scenarios.model(client)

    def call(version: str = "1", registry_name: str = "house") -> Any:
        names = {"share_with_name": "student", "share_with_version": version}
        return client.models.share("student", version, registry_name=registry_name, **names)

    return call


def test_a_shared_model_is_a_copy_of_its_files_without_tags(
    share: Share, client: MLClient, registry: MLClient, workspace: SimulatedWorkspace
) -> None:
    workspace.assets.get("models", "student", "1")["tags"] = {"team": "support"}
    workspace.operations.polls = 2
    shared = share()
    assert (shared.id, shared.type) == ("azureml://registries/house/models/student/versions/1", "custom_model")
    own = client.models.get("student", "1")
    assert (own.tags, shared.tags, shared.path == own.path) == ({"team": "support"}, {}, False)
    assert [model.version for model in registry.models.list(name="student")] == ["1"]
    assert [logged.status for logged in workspace.requests.of("POST", "/import")] == [202]


def test_tags_of_a_shared_model_can_change_and_its_files_cannot(share: Share, registry: MLClient) -> None:
    shared = share()
    shared.tags["gate"] = "passed"
    registry.models.create_or_update(shared)
    assert registry.models.get("student", "1").tags == {"gate": "passed"}
    shared.path = "https://simulated.blob.core.windows.net/other/student"
    with pytest.raises(HttpResponseError, match="Asset paths cannot be updated"):
        registry.models.create_or_update(shared)


@pytest.mark.parametrize("content", ["same", "other"])
def test_the_client_refuses_a_version_that_the_registry_has(
    content: str, share: Share, workspace: SimulatedWorkspace
) -> None:
    """It does not compare their content, and sends nothing."""
    share()
    if content == "other":
        workspace.registries["house"].get("models", "student", "1")["modelUri"] = "https://h/other"
    with pytest.raises(ValidationException, match="already exists in registry"):
        share()
    assert len(workspace.requests.of("POST", "/import")) == 1


def test_of_two_imports_at_the_same_moment_one_fails(share: Share, workspace: SimulatedWorkspace) -> None:
    """The second client has seen that the registry does not have the version. Its import starts, too, and fails."""
    house = workspace.registries["house"]
    sent = workspace.operations.begin

    def begin_after_another(finish: Callable[[], object]) -> str:
        house.put("models", "student", "1", {"modelType": "custom_model", "modelUri": "https://h/first"})
        return sent(finish)

    workspace.operations.begin = begin_after_another  # type: ignore[method-assign]
    with pytest.raises(HttpResponseError, match="already exists"):
        share()
    assert house.get("models", "student", "1")["modelUri"] == "https://h/first"


def test_a_deleted_version_of_the_registry_stays_taken(share: Share, workspace: SimulatedWorkspace) -> None:
    share()
    workspace.registries["house"].delete("models", "student", "1")
    with pytest.raises(HttpResponseError, match="was deleted"):
        share()


def test_a_deleted_version_of_the_workspace_is_not_found(share: Share, workspace: SimulatedWorkspace) -> None:
    """The import is accepted, and its operation fails."""
    workspace.assets.delete("models", "student", "1")
    with pytest.raises(HttpResponseError, match=r"The models 'student:1' was not found"):
        share()
    assert workspace.registries["house"].of("models") == {}


def test_sharing_needs_a_role_on_the_registry(share: Share, workspace: SimulatedWorkspace) -> None:
    workspace.roles.remove(REGISTRY_USER)
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        share()


def test_an_unknown_registry_is_not_found(share: Share) -> None:
    with pytest.raises(ResourceNotFoundError, match="nowhere"):
        share(registry_name="nowhere")
