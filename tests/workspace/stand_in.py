"""A workspace stand-in: ARM and the Azure ML control plane in memory, with Azurite as its storage.

It answers what the real MLClient asks, at the api-versions it asks with, and keeps what
it was sent. It runs no job, builds no image, checks no quota and reads no component: a
job is where the test says it is. What it does not know it refuses with 501, and the
fixture fails the test. README.md lists the requests.
"""

import uuid

from tests.workspace.blobs import Blobs
from tests.workspace.credential import audience
from tests.workspace.faults import Faults
from tests.workspace.ledger import Ledger, Seen
from tests.workspace.operations import Operations
from tests.workspace.resources.assets import Assets
from tests.workspace.resources.connections import Connections
from tests.workspace.resources.control import Computes
from tests.workspace.resources.datastores import Datastores
from tests.workspace.resources.history import Runs
from tests.workspace.resources.identity import Identity
from tests.workspace.resources.jobs import Jobs
from tests.workspace.resources.registries import Registries
from tests.workspace.resources.schedules import Schedules
from tests.workspace.routes import PROVIDER, Route, find
from tests.workspace.wire import ArmError, Reply, Request

SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
GROUP = "stand-in-group"
NAME = "stand-in"


class Workspace:
    """What a test sets up, and what it looks at afterwards."""

    def __init__(self, blobs: Blobs) -> None:
        self.subscription, self.group, self.name = SUBSCRIPTION, GROUP, NAME
        self.workspace_id = str(uuid.uuid4())
        self.page_size = 100
        self.blobs = blobs
        self.ledger, self.faults = Ledger(), Faults()
        self.operations = Operations(SUBSCRIPTION)
        self.assets, self.computes, self.connections = Assets(), Computes(), Connections()
        self.datastores = Datastores(blobs, self.workspace_id)
        self.jobs, self.schedules = Jobs(), Schedules()
        self.runs = Runs(blobs, self.datastores)
        self.identity = Identity()
        self.registries = Registries()

    @property
    def arm_id(self) -> str:
        scope = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        return f"{scope}/providers/{PROVIDER}/workspaces/{self.name}"

    def answer(self, request: Request) -> Reply:
        """The reply to `request`; the ledger keeps both."""
        found = find(request)
        try:
            reply = self._routed(*found) if found else _unknown(request)
        except ArmError as error:
            reply = error.reply
        kind = f"{found[0].method} {found[0].path}" if found else None
        self.ledger.seen.append(Seen(request, reply.status, kind))
        return reply

    def _routed(self, route: Route, request: Request) -> Reply:
        self.faults.strike(request)
        self._check_token(route, request)
        self._check_scope(request)
        return route.handler(self, request)

    def _check_token(self, route: Route, request: Request) -> None:
        if route.audience and audience(request.headers.get("authorization", "")) != route.audience:
            raise ArmError(401, "InvalidAuthenticationTokenAudience", f"A token for {route.audience} is wanted.")

    def _check_scope(self, request: Request) -> None:
        ours = {"subscription": self.subscription, "group": self.group, "workspace": self.name}
        for kind, name in ours.items():
            if request.names.get(kind, name).lower() != name.lower():
                raise ArmError(404, "ResourceNotFound", f"The {kind} {request.names[kind]!r} could not be found.")


def _unknown(request: Request) -> Reply:
    version = request.api_version
    message = f"The stand-in doesn't know {request.method} {request.url} with api-version {version!r}."
    return ArmError(501, "UnknownRequest", message).reply
