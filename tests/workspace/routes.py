"""Routes of the simulated workspace, each with the api-versions that the real client uses.

A handler is a function `(workspace, request) -> Reply`. Decorators register it: `arm` (resource manager, below the
workspace), `resource_manager` (elsewhere in it), `location` (below a region of the subscription), `data_plane` (run
history and data), `node` (identity endpoint of a compute node), `registry` (a registry), `discovery` (looks up a
registry's URL) or `scoring` (scoring URI of an online endpoint).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from tests.workspace.wire import Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

MANAGEMENT = "management.azure.com"
REGION = "eastus2"
DATA_PLANE = f"{REGION}.api.azureml.ms"
PROVIDER = "Microsoft.MachineLearningServices"
SCOPE = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{PROVIDER}/workspaces/{{workspace}}"
LOCATION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/locations/{{region}}"
SCORING = f"{{endpoint}}.{REGION}.inference.ml.azure.com"
DISCOVERY = "eastus.api.azureml.ms"
REGISTRY_PLANE = f"cert-{REGION}.experiments.azureml.net"
FRONT = "/mferp/managementfrontend"
REGISTRY = f"{FRONT}{SCOPE.replace('workspaces/{workspace}', 'registries/{registry}')}"

ARM_AUDIENCE = f"https://{MANAGEMENT}"
ML_AUDIENCE = "https://ml.azure.com"
# The token that Azure ML gives to the processes of a run.
RUN_AUDIENCE = "azureml"

Handler = Callable[["SimulatedWorkspace", Request], Reply]
Decorator = Callable[[Handler], Handler]


@dataclass(frozen=True)
class Route:
    """A kind of request. `api_versions` is empty for requests without one; `audiences` are those of tokens that it
    accepts, empty for a request without a token."""

    method: str
    host: str
    path: str
    api_versions: frozenset[str]
    handler: Handler
    audiences: tuple[str, ...]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """ARM ignores case. `{name:path}` may contain slashes."""
        pattern = re.sub(r"\\\{(\w+):path\\\}", r"(?P<\1>.+)", re.escape(f"{self.host}{self.path}"))
        return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern), re.IGNORECASE)

    def match(self, request: Request) -> Request | None:
        """`request` with the values of the path's placeholders, None for another kind of request."""
        if request.method != self.method:
            return None
        if self.api_versions and request.api_version not in self.api_versions:
            return None
        match = self._pattern.fullmatch(f"{request.host}{request.path}")
        return replace(request, names=match.groupdict()) if match else None


TABLE: list[Route] = []


def arm(method: str, path: str, *api_versions: str) -> Decorator:
    return _register(method, MANAGEMENT, SCOPE + path, api_versions, ARM_AUDIENCE)


def resource_manager(method: str, path: str, *api_versions: str) -> Decorator:
    """A route of another resource provider."""
    return _register(method, MANAGEMENT, path, api_versions, ARM_AUDIENCE)


def location(method: str, path: str, *api_versions: str) -> Decorator:
    return _register(method, MANAGEMENT, LOCATION + path, api_versions, ARM_AUDIENCE)


def data_plane(method: str, path: str, *api_versions: str, audiences: tuple[str, ...] = (ARM_AUDIENCE,)) -> Decorator:
    return _register(method, DATA_PLANE, path, api_versions, *audiences)


def node(method: str, path: str, *api_versions: str) -> Decorator:
    """A route at the simulated workspace's own address, without a token."""
    return _register(method, MANAGEMENT, path, api_versions)


def registry(method: str, path: str, *api_versions: str) -> Decorator:
    return _register(method, REGISTRY_PLANE, REGISTRY + path, api_versions, ARM_AUDIENCE)


def registry_location(method: str, path: str, *api_versions: str) -> Decorator:
    return _register(method, REGISTRY_PLANE, FRONT + LOCATION + path, api_versions, ARM_AUDIENCE)


def discovery(method: str, path: str, *api_versions: str) -> Decorator:
    return _register(method, DISCOVERY, path, api_versions, ARM_AUDIENCE, ML_AUDIENCE)


def scoring(method: str, path: str, audience: str) -> Decorator:
    """A route at the scoring URI of an endpoint, whose name is a placeholder."""
    return _register(method, SCORING, path, (), audience)


def _register(method: str, host: str, path: str, api_versions: tuple[str, ...], *audiences: str) -> Decorator:
    def register(handler: Handler) -> Handler:
        TABLE.append(Route(method, host, path, frozenset(api_versions), handler, audiences))
        return handler

    return register


def find(request: Request) -> tuple[Route, Request] | None:
    """The route for `request`, and the request with the values of the path's placeholders."""
    matches = ((route, route.match(request)) for route in TABLE)
    return next(((route, matched) for route, matched in matches if matched), None)
