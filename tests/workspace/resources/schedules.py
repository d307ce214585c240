"""Schedules: kept as they were sent, made and removed as long-running operations."""

from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.resources.stamp import resource
from tests.workspace.routes import arm
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

API_VERSION = "2023-06-01-preview"


class Schedules:
    """Name -> properties."""

    def __init__(self) -> None:
        self.kept: dict[str, dict[str, Any]] = {}


def _resource(workspace: "Workspace", name: str) -> dict[str, Any]:
    if name not in workspace.schedules.kept:
        raise not_found("schedule", name)
    return resource(workspace, f"schedules/{name}", workspace.schedules.kept[name])


@arm("PUT", "/schedules/{name}", API_VERSION)
def put(workspace: "Workspace", request: Request) -> Reply:
    name = request.names["name"]
    kept = workspace.schedules.kept
    kept[name] = {"isEnabled": True, **request.body["properties"], "provisioningState": "Creating"}
    operation = workspace.operations.begin(lambda: kept[name].update(provisioningState="Succeeded"))
    return Reply(201, _resource(workspace, name), workspace.operations.asynchronous(operation))


@arm("GET", "/schedules/{name}", API_VERSION)
def get(workspace: "Workspace", request: Request) -> Reply:
    return Reply(body=_resource(workspace, request.names["name"]))


@arm("GET", "/schedules", API_VERSION)
def schedules(workspace: "Workspace", request: Request) -> Reply:
    enabled = {"EnabledOnly": {True}, "DisabledOnly": {False}, "All": {False, True}}[request.query["listViewType"]]
    names = [name for name, properties in workspace.schedules.kept.items() if properties["isEnabled"] in enabled]
    found = [_resource(workspace, name) for name in names]
    return page(request, found, workspace.page_size)


@arm("DELETE", "/schedules/{name}", API_VERSION)
def delete(workspace: "Workspace", request: Request) -> Reply:
    name = request.names["name"]
    operation = workspace.operations.begin(lambda: workspace.schedules.kept.pop(name))
    return Reply(202, headers=workspace.operations.location(operation))
