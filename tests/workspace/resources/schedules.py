"""Schedules. Creating and deleting one is a long-running operation."""

from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.resources.frame import resource
from tests.workspace.routes import arm
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

API_VERSION = "2023-06-01-preview"


class Schedules:
    """Properties by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, Any]] = {}


def _resource(workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
    if name not in workspace.schedules.by_name:
        raise not_found("schedule", name)
    return resource(workspace, f"schedules/{name}", workspace.schedules.by_name[name])


@arm("PUT", "/schedules/{name}", API_VERSION)
def put(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    kept = workspace.schedules.by_name
    kept[name] = {"isEnabled": True, **request.body["properties"], "provisioningState": "Creating"}
    operation = workspace.operations.begin(lambda: kept[name].update(provisioningState="Succeeded"))
    return Reply(201, _resource(workspace, name), workspace.operations.asynchronous(operation))


@arm("GET", "/schedules/{name}", API_VERSION)
def get(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_resource(workspace, request.names["name"]))


@arm("GET", "/schedules", API_VERSION)
def schedules(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    enabled = {"EnabledOnly": {True}, "DisabledOnly": {False}, "All": {False, True}}[request.query["listViewType"]]
    names = [name for name, properties in workspace.schedules.by_name.items() if properties["isEnabled"] in enabled]
    return page(request, [_resource(workspace, name) for name in names], workspace.page_size)


@arm("DELETE", "/schedules/{name}", API_VERSION)
def delete(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    operation = workspace.operations.begin(lambda: workspace.schedules.by_name.pop(name))
    return Reply(202, headers=workspace.operations.location(operation))
