"""Long-running operations: a reply 202 with the URL to poll."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.workspace.routes import FRONT, LOCATION, MANAGEMENT, REGION, REGISTRY_PLANE, location, registry_location
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

API_VERSION = "2023-06-01-preview"
REGISTRY_VERSION = "2021-10-01-dataplanepreview"
# Azure sends seconds. Milliseconds keep tests fast, and azure-core reads them too.
SOON = {"retry-after-ms": "20"}


@dataclass
class Operation:
    """In progress for `polls` more polls; `finish` is called at the last. The reply of an ArmError that it raises
    is the `failure` of the operation."""

    finish: Callable[[], object]
    polls: int
    failure: Reply | None = None

    def done(self) -> bool:
        if self.polls == 0:
            try:
                self.finish()
            except ArmError as error:
                self.failure = error.reply
        self.polls -= 1
        return self.polls < 0


class Operations:
    def __init__(self, subscription: str) -> None:
        self.in_progress: dict[str, Operation] = {}
        self.polls = 1
        path = LOCATION.replace("{subscription}", subscription).replace("{region}", REGION)
        self._base, self._registries = f"https://{MANAGEMENT}{path}", f"https://{REGISTRY_PLANE}{FRONT}{path}"

    def begin(self, finish: Callable[[], object]) -> str:
        """Start an operation; returns its id."""
        name = str(uuid.uuid4())
        self.in_progress[name] = Operation(finish, self.polls)
        return name

    def location(self, name: str) -> dict[str, str]:
        """Header of an operation that answers 202 until it has ended."""
        return {"Location": f"{self._base}/mfeOperationResults/{name}?api-version={API_VERSION}", **SOON}

    def in_registry(self, name: str) -> dict[str, str]:
        """The same for an operation of a registry."""
        return {
            "Location": f"{self._registries}/mfeOperationResults/{name}?api-version={REGISTRY_VERSION}",
            **SOON,
        }

    def asynchronous(self, name: str) -> dict[str, str]:
        """Header of an operation that answers 200 with its status."""
        return {"Azure-AsyncOperation": f"{self._base}/mfeOperationsStatus/{name}?api-version={API_VERSION}", **SOON}


def _poll(workspace: "SimulatedWorkspace", request: Request) -> bool:
    name = request.names["operation"]
    if name not in workspace.operations.in_progress:
        raise not_found("operation", name)
    return workspace.operations.in_progress[name].done()


@location("GET", "/mfeOperationResults/{operation}", API_VERSION)
@registry_location("GET", "/mfeOperationResults/{operation}", REGISTRY_VERSION)
def result(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    done = _poll(workspace, request)
    failure = workspace.operations.in_progress[request.names["operation"]].failure
    return (failure or Reply(200)) if done else Reply(202, headers=dict(SOON))


@location("GET", "/mfeOperationsStatus/{operation}", API_VERSION)
def status(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    done = _poll(workspace, request)
    failure = workspace.operations.in_progress[request.names["operation"]].failure
    ended = {"status": "Failed", **failure.body} if failure else {"status": "Succeeded"}
    body = ended if done else {"status": "InProgress"}
    return Reply(body=body, headers={} if done else dict(SOON))
