"""Connections. Their secrets are in the reply to listsecrets only."""

from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.resources.frame import resource
from tests.workspace.routes import arm
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

# Api-versions of MLClient and of the steps of a job.
CLIENT = "2024-04-01-preview"
STEP = "2024-10-01"


class Connections:
    """Properties by name, secrets included."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, Any]] = {}

    def find(self, name: str) -> dict[str, Any]:
        if name not in self.by_name:
            raise not_found("connection", name)
        return self.by_name[name]


def _public(workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
    properties = {**workspace.connections.find(name), "credentials": None}
    return resource(workspace, f"connections/{name}", properties)


@arm("PUT", "/connections/{name}", CLIENT)
def put(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    workspace.connections.by_name[request.names["name"]] = request.body["properties"]
    return Reply(body=_public(workspace, request.names["name"]))


@arm("GET", "/connections/{name}", CLIENT)
def get(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_public(workspace, request.names["name"]))


@arm("GET", "/connections", CLIENT)
def connections(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    connections = [_public(workspace, name) for name in workspace.connections.by_name]
    return page(request, connections, workspace.page_size)


@arm("POST", "/connections/{name}/listsecrets", CLIENT, STEP)
def list_secrets(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    return Reply(body=resource(workspace, f"connections/{name}", workspace.connections.find(name)))


@arm("DELETE", "/connections/{name}", CLIENT)
def delete(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    workspace.connections.find(request.names["name"])
    del workspace.connections.by_name[request.names["name"]]
    return Reply(200)
