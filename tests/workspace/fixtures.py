"""Fixtures: a simulated workspace for each test, Azurite for the session, and a real MLClient of the workspace.

A test package imports the fixtures that it needs in its conftest. The SDK is imported when a test uses one: that takes
seconds.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.azurite import Azurite
    from tests.workspace.credential import SimulatedCredential
    from tests.workspace.simulated import SimulatedWorkspace


@pytest.fixture(scope="session")
def storage(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Azurite]":
    from tests.workspace.azurite import azurite

    with azurite(tmp_path_factory.mktemp("azurite")) as running:
        yield running


@pytest.fixture
def workspace(storage: "Azurite") -> "Iterator[SimulatedWorkspace]":
    from tests.workspace.clients import empty_workspace

    with empty_workspace(storage) as simulated:
        yield simulated


@pytest.fixture
def credential() -> "SimulatedCredential":
    from tests.workspace.credential import SimulatedCredential

    return SimulatedCredential()


@pytest.fixture
def client(workspace: "SimulatedWorkspace", credential: "SimulatedCredential") -> "Iterator[MLClient]":
    from tests.workspace.clients import client_for

    with client_for(workspace, credential) as ml_client:
        yield ml_client


@pytest.fixture
def registry(workspace: "SimulatedWorkspace", credential: "SimulatedCredential") -> "Iterator[MLClient]":
    """A client for the registry `house`, which is empty."""
    from tests.workspace.clients import registry_client_for

    workspace.registries.create("house")
    with registry_client_for(workspace, credential, "house") as ml_client:
        yield ml_client
