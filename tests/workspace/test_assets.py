"""Assets are stored as sent, found by version or label, and never change their path."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Data, Environment, Model
from azure.ai.ml.exceptions import MlException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.resources.datastores import BLOB_STORE
from tests.workspace.simulated import SimulatedWorkspace


@pytest.mark.parametrize(
    ("kind", "create", "name"),
    [
        ("environments", lambda client: scenarios.environment(client, "environment"), "cpu"),
        ("components", scenarios.component, "train"),
        ("data", scenarios.data, "rows"),
        ("models", scenarios.model, "student"),
    ],
)
def test_an_asset_is_found_by_version_as_the_latest_and_in_lists(
    kind: str, create: Callable[[MLClient], Any], name: str, client: MLClient
) -> None:
    create(client)
    assets = getattr(client, kind)
    assert (assets.get(name, version="1").name, assets.get(name, label="latest").version) == (name, "1")
    assert [asset.name for asset in assets.list()] == [name]
    assert [asset.version for asset in assets.list(name=name)] == ["1"]


def test_an_environment_without_a_version_gets_the_next_one_where_it_differs(client: MLClient) -> None:
    """The client tries the latest version first, and uses the next one when that is refused."""
    scenarios.environment(client, "environment")
    assert client.environments.create_or_update(Environment(name="cpu", image="another")).version == "2"
    assert client.environments.get("cpu", label="latest").image == "another"


def test_a_build_context_is_uploaded(client: MLClient, workspace: SimulatedWorkspace) -> None:
    built = scenarios.environment(client, "built").build
    container = workspace.datastores.containers[BLOB_STORE]
    folder = built.path.partition(f"{container}/")[2]
    content = (scenarios.EXAMPLES / "built/context/Dockerfile").read_bytes()
    assert workspace.blobs.contents(container, folder) == {"Dockerfile": content}


def test_data_is_uploaded_once_and_gets_the_next_version(client: MLClient, workspace: SimulatedWorkspace) -> None:
    first = scenarios.data(client)
    file = Data(name="rows", type="uri_file", path=str(scenarios.EXAMPLES / "rows/train.jsonl"))
    again = client.data.create_or_update(file)
    assert (first.version, again.version) == ("1", "2")
    assert first.path == again.path == client.data.get("rows", label="latest").path
    assert len(workspace.blobs.names(workspace.datastores.containers[BLOB_STORE])) == 1


def test_a_model_without_a_version_gets_the_next_one(client: MLClient) -> None:
    scenarios.model(client)
    path = str(scenarios.EXAMPLES / "student")
    assert client.models.create_or_update(Model(name="student", path=path, type="custom_model")).version == "2"


def test_a_model_can_be_an_output_of_a_job(client: MLClient, workspace: SimulatedWorkspace) -> None:
    path = "azureml://jobs/quickstart-1/outputs/model"
    client.models.create_or_update(Model(name="student", version="2", path=path, type="custom_model"))
    assert workspace.assets.get("models", "student", "2")["modelUri"] == path


def test_a_version_cannot_change_its_path(client: MLClient) -> None:
    first, other = (
        Model(name="student", version="1", path=f"azureml://jobs/{job}/outputs/model", type="custom_model")
        for job in ("first", "other")
    )
    client.models.create_or_update(first)
    with pytest.raises(HttpResponseError, match="Asset paths cannot be updated"):
        client.models.create_or_update(other)


def test_a_missing_asset_is_not_found(client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="cpu:9"):
        client.environments.get("cpu", version="9")
    with pytest.raises(MlException, match="Asset rows does not exist in workspace simulated"):
        client.data.get("rows", label="latest")


def test_names_are_those_of_the_rest_specification(client: MLClient, registry: MLClient) -> None:
    """A model of a registry may have dots in its name, one of a workspace may not."""
    for name, is_valid in {"support-v2": True, "support.v2": False, "-support": False, "s" * 256: False}.items():
        model = Model(name=name, version="1", path="azureml://jobs/first/outputs/model", type="custom_model")
        if is_valid:
            client.models.create_or_update(model)
        else:
            with pytest.raises(HttpResponseError, match="must match"):
                client.models.create_or_update(model)
