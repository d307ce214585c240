"""The table of requests that the stand-in answers, each with the api-versions it was seen with.

A handler is a function `(workspace, request) -> Reply`. It is entered with `arm` (the
resource manager, under the workspace), `location` (the resource manager, under a
region of the subscription), `data_plane` (run history and its neighbours), `node`
(what a job finds beside it on its compute), `registry` (a registry's own address) or
`discovery` (where that address is asked for).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tests.workspace.wire import Reply, Request

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

MANAGEMENT = "management.azure.com"
REGION = "eastus2"
DATA_PLANE = f"{REGION}.api.azureml.ms"
PROVIDER = "Microsoft.MachineLearningServices"
SCOPE = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{PROVIDER}/workspaces/{{workspace}}"
LOCATION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{region}}"
DISCOVERY = "eastus.api.azureml.ms"
REGISTRY_PLANE = f"cert-{REGION}.experiments.azureml.net"
FRONT = "/mferp/managementfrontend"
REGISTRY = f"{FRONT}{SCOPE.replace('workspaces/{workspace}', 'registries/{registry}')}"

ARM_AUDIENCE = f"https://{MANAGEMENT}"
ML_AUDIENCE = "https://ml.azure.com"

Handler = Callable[["Workspace", Request], Reply]
Entry = Callable[[Handler], Handler]


@dataclass(frozen=True)
class Route:
    """One kind of request. An empty `api_versions` means that it has none; `audience` is whom its token is for."""

    method: str
    host: str
    path: str
    api_versions: frozenset[str]
    handler: Handler
    audience: str | None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """ARM doesn't care about case."""
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(self.path)), re.IGNORECASE)

    def match(self, request: Request) -> Request | None:
        """`request` with the names in its path, or None where this is no such request."""
        if (request.method, request.host) != (self.method, self.host):
            return None
        if self.api_versions and request.api_version not in self.api_versions:
            return None
        found = self._pattern.fullmatch(request.path)
        return replace(request, names=found.groupdict()) if found else None


TABLE: list[Route] = []


def arm(method: str, path: str, *api_versions: str) -> Entry:
    return _enter(method, MANAGEMENT, SCOPE + path, api_versions, ARM_AUDIENCE)


def location(method: str, path: str, *api_versions: str) -> Entry:
    return _enter(method, MANAGEMENT, LOCATION + path, api_versions, ARM_AUDIENCE)


def data_plane(method: str, path: str, *api_versions: str, audience: str | None = ARM_AUDIENCE) -> Entry:
    return _enter(method, DATA_PLANE, path, api_versions, audience)


def node(method: str, path: str, *api_versions: str) -> Entry:
    """Asked at the stand-in's own address, without a token."""
    return _enter(method, MANAGEMENT, path, api_versions, None)


def registry(method: str, path: str, *api_versions: str) -> Entry:
    return _enter(method, REGISTRY_PLANE, REGISTRY + path, api_versions, ARM_AUDIENCE)


def registry_location(method: str, path: str, *api_versions: str) -> Entry:
    return _enter(method, REGISTRY_PLANE, FRONT + LOCATION + path, api_versions, ARM_AUDIENCE)


def discovery(method: str, path: str, *api_versions: str) -> Entry:
    return _enter(method, DISCOVERY, path, api_versions, ARM_AUDIENCE)


def _enter(method: str, host: str, path: str, api_versions: tuple[str, ...], audience: str | None) -> Entry:
    def enter(handler: Handler) -> Handler:
        TABLE.append(Route(method, host, path, frozenset(api_versions), handler, audience))
        return handler

    return enter


def find(request: Request) -> tuple[Route, Request] | None:
    """The route that answers `request`, and the request with its names."""
    matches = ((route, route.match(request)) for route in TABLE)
    return next(((route, found) for route, found in matches if found), None)
