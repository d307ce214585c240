"""Fixtures: a compute node, and mounts of folders of the default datastore on it."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from tests.workspace.fixtures import storage as storage

if TYPE_CHECKING:
    from tests.workspace.azurite import Azurite
    from tests.workspace.mounts import Mount, Node
    from tests.workspace.simulated import SimulatedWorkspace

    MountFolder = Callable[[str], Mount]


@pytest.fixture(scope="module")
def workspace(storage: "Azurite") -> "Iterator[SimulatedWorkspace]":
    from tests.workspace.clients import empty_workspace

    with empty_workspace(storage) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def node(
    storage: "Azurite", workspace: "SimulatedWorkspace", tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Node]":
    """A node whose mounts get their tokens from the workspace."""
    from tests.workspace.mounts import node
    from tests.workspace.server import serving

    with serving(workspace) as address, node(storage, address, tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def container(workspace: "SimulatedWorkspace") -> str:
    """Container of the default datastore."""
    from tests.workspace.resources.datastores import BLOB_STORE

    return workspace.datastores.containers[BLOB_STORE]


@pytest.fixture
def rw_mount(node: "Node", container: str) -> "MountFolder":
    """Mount a folder for reading and writing. Each mount is as of another node."""
    return lambda path: node.mount(container, f"{path}/")


@pytest.fixture
def ro_mount(node: "Node", container: str) -> "MountFolder":
    return lambda path: node.mount(container, f"{path}/", read_only=True)


@pytest.fixture
def blobs(workspace: "SimulatedWorkspace", container: str) -> "Callable[[str], dict[str, bytes]]":
    """The files of a folder, by path in it, as the storage has them. A folder is a blob too, without content."""

    def contents(path: str) -> dict[str, bytes]:
        blobs = workspace.blobs.contents(container, f"{path}/")
        folders = {name.rpartition("/")[0] for name in blobs}
        return {name: content for name, content in blobs.items() if name not in folders}

    return contents
