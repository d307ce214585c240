"""Connections: what they point at is shown, what opens it only to who asks for the secrets."""

from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.resources.stamp import resource
from tests.workspace.routes import arm
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

CLIENT = "2024-04-01-preview"
"""What MLClient asks with; a step in a job asks for the secrets with the stable version."""
STEP = "2024-10-01"


class Connections:
    """Name -> properties, secrets and all."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}

    def find(self, name: str) -> dict[str, Any]:
        if name not in self.kept:
            raise not_found("connection", name)
        return self.kept[name]


def _public(workspace: "Workspace", name: str) -> dict[str, Any]:
    properties = {**workspace.connections.find(name), "credentials": None}
    return resource(workspace, f"connections/{name}", properties)


@arm("PUT", "/connections/{name}", CLIENT)
def put(workspace: "Workspace", request: Request) -> Reply:
    workspace.connections.kept[request.names["name"]] = request.body["properties"]
    return Reply(body=_public(workspace, request.names["name"]))


@arm("GET", "/connections/{name}", CLIENT)
def get(workspace: "Workspace", request: Request) -> Reply:
    return Reply(body=_public(workspace, request.names["name"]))


@arm("GET", "/connections", CLIENT)
def connections(workspace: "Workspace", request: Request) -> Reply:
    found = [_public(workspace, name) for name in workspace.connections.kept]
    return page(request, found, workspace.page_size)


@arm("POST", "/connections/{name}/listsecrets", CLIENT, STEP)
def list_secrets(workspace: "Workspace", request: Request) -> Reply:
    name = request.names["name"]
    return Reply(body=resource(workspace, f"connections/{name}", workspace.connections.find(name)))


@arm("DELETE", "/connections/{name}", CLIENT)
def delete(workspace: "Workspace", request: Request) -> Reply:
    workspace.connections.find(request.names["name"])
    del workspace.connections.kept[request.names["name"]]
    return Reply(200)
