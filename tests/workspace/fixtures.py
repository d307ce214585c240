"""A workspace for each test, Azurite once a session, and the real MLClient between them.

A test package that wants them imports them in its conftest. Nothing of the SDK is
imported before a test asks: it costs seconds.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.azurite import Azurite
    from tests.workspace.credential import StandInCredential
    from tests.workspace.stand_in import Workspace


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Azurite]":
    from tests.workspace.azurite import azurite

    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def workspace(storage: "Azurite") -> "Iterator[Workspace]":
    from tests.workspace.connecting import fresh_workspace

    with fresh_workspace(storage) as stand_in:
        yield stand_in


@pytest.fixture
def credential() -> "StandInCredential":
    from tests.workspace.credential import StandInCredential

    return StandInCredential()


@pytest.fixture
def client(workspace: "Workspace", credential: "StandInCredential") -> "Iterator[MLClient]":
    from tests.workspace.connecting import connected

    with connected(workspace, credential) as ml_client:
        yield ml_client


@pytest.fixture
def registry(workspace: "Workspace", credential: "StandInCredential") -> "Iterator[MLClient]":
    """A client for the registry `house`, which is empty."""
    from tests.workspace.connecting import connected_to_registry

    workspace.registries.create("house")
    with connected_to_registry(workspace, credential, "house") as ml_client:
        yield ml_client
