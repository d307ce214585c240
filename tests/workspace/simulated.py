"""Simulated workspace: ARM and the Azure ML control plane in memory, with Azurite as storage.

It answers the requests of the real MLClient, at the api-versions that the client uses, and keeps what it receives. It
runs no job, builds no image, checks no quota and reads no component: the test sets the status of a job. A request
without a route gets 501, and the fixture fails the test. README.md lists the routes.
"""

import uuid

from tests.workspace.azurite import ACCOUNT
from tests.workspace.blobs import Blobs
from tests.workspace.clouds import PUBLIC
from tests.workspace.credential import USER, audience, object_id
from tests.workspace.faults import Faults
from tests.workspace.operations import Operations
from tests.workspace.request_log import LoggedRequest, RequestLog
from tests.workspace.resources.assets import Assets
from tests.workspace.resources.batch_endpoints import BatchEndpoints
from tests.workspace.resources.computes import Computes
from tests.workspace.resources.connections import Connections
from tests.workspace.resources.datastores import Datastores
from tests.workspace.resources.history import Runs
from tests.workspace.resources.identity import Identity
from tests.workspace.resources.jobs import Jobs
from tests.workspace.resources.managed_identities import (
    ACR_PULL,
    BLOB_CONTRIBUTOR,
    DATA_SCIENTIST,
    JOBS,
    REGISTRY_USER,
    SECRETS_READER,
    ManagedIdentities,
    RoleAssignments,
)
from tests.workspace.resources.online_endpoints import OnlineEndpoints
from tests.workspace.resources.registries import Registries
from tests.workspace.resources.schedules import Schedules
from tests.workspace.resources.tracking import Tracking
from tests.workspace.routes import PROVIDER, Route, find
from tests.workspace.wire import ArmError, Reply, Request

SUBSCRIPTION = "66666666-6666-6666-6666-666666666666"
GROUP = "simulated-group"
NAME = "simulated"


class SimulatedWorkspace:
    """State that a test sets up before, and inspects after, the requests of a client."""

    def __init__(self, blobs: Blobs) -> None:
        self.subscription, self.group, self.name = SUBSCRIPTION, GROUP, NAME
        self.workspace_id = str(uuid.uuid4())
        self.page_size = 100
        self.has_container_registry = True
        self.blobs = blobs
        self.requests, self.faults = RequestLog(), Faults()
        self.operations = Operations(SUBSCRIPTION)
        self.assets, self.computes, self.connections = Assets(), Computes(), Connections()
        self.datastores = Datastores(blobs, self.workspace_id)
        self.jobs, self.schedules = Jobs(), Schedules()
        self.runs = Runs(blobs, self.datastores)
        self.tracking = Tracking()
        self.identity = Identity(JOBS.principal_id)
        self.managed_identities = ManagedIdentities()
        self.roles = RoleAssignments(
            {
                BLOB_CONTRIBUTOR: self.storage_id,
                ACR_PULL: self.container_registry_id,
                DATA_SCIENTIST: self.arm_id,
                SECRETS_READER: self.arm_id,
            },
            [USER, JOBS.principal_id, str(self.managed_identities.of_compute("cpu-cluster").system)],
        )
        self.roles.assign(USER, REGISTRY_USER, f"{self.group_id}/providers/{PROVIDER}/registries")
        self.registries = Registries()
        self.online, self.batch = OnlineEndpoints(), BatchEndpoints()
        self.cloud = PUBLIC

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def arm_id(self) -> str:
        return f"{self.group_id}/providers/{PROVIDER}/workspaces/{self.name}"

    @property
    def storage_id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"

    @property
    def container_registry_id(self) -> str:
        return f"{self.group_id}/providers/Microsoft.ContainerRegistry/registries/simulated"

    def answer(self, request: Request) -> Reply:
        """The reply to `request`; both are logged."""
        request = self.cloud.requested(request)
        route = find(request)
        try:
            reply = self._handle(*route) if route else _unknown(request)
        except ArmError as error:
            reply = error.reply
        name = f"{route[0].method} {route[0].path}" if route else None
        self.requests.all.append(LoggedRequest(request, reply.status, name))
        return self.cloud.replied(reply)

    def _handle(self, route: Route, request: Request) -> Reply:
        self.faults.raise_for(request)
        self._check_token(route, request)
        self._check_scope(request)
        if route.audiences:
            self.roles.check(request, object_id(request.headers.get("authorization", "")))
        return route.handler(self, request)

    def _check_token(self, route: Route, request: Request) -> None:
        accepted = [self.cloud.own(one) for one in route.audiences]
        if accepted and audience(request.headers.get("authorization", "")) not in accepted:
            required = " or ".join(accepted)
            raise ArmError(401, "InvalidAuthenticationTokenAudience", f"A token for {required} is required.")

    def _check_scope(self, request: Request) -> None:
        names = {"subscription": self.subscription, "group": self.group, "workspace": self.name}
        for kind, name in names.items():
            if request.names.get(kind, name).lower() != name.lower():
                raise ArmError(404, "ResourceNotFound", f"The {kind} {request.names[kind]!r} could not be found.")


def _unknown(request: Request) -> Reply:
    version = request.api_version
    message = f"The simulated workspace has no route for {request.method} {request.url} with api-version {version!r}."
    return ArmError(501, "UnknownRequest", message).reply
