"""Online endpoints and deployments, their scoring URI, and autoscale settings of Azure Monitor.

Each change is a long-running operation, and Azure refuses a second one meanwhile. No image is built and no VM started:
a test says how the next deployments end and what they answer.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.resources.frame import resource
from tests.workspace.routes import ML_AUDIENCE, REGION, arm, resource_manager, scoring
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

ENDPOINTS, DEPLOYMENTS = "2022-02-01-preview", "2023-04-01-preview"
AUTOSCALE = "2022-10-01"
AUTOSCALE_PATH = "/{scope:path}/providers/Microsoft.Insights/autoscaleSettings/{name}"

DEPLOYMENT_HEADER = "azureml-model-deployment"
IN_PROGRESS = {"Creating", "Updating", "Deleting"}

# Deployment and body of a request -> content of the answer. May raise ArmError.
Answer = Callable[[str, dict[str, Any]], str]


@dataclass
class Failure:
    """The end of the next deployment: error of its operation, and its log."""

    code: str
    message: str
    log: str = ""


@dataclass
class Resource:
    """An endpoint or a deployment: the body of the last request, and its state."""

    body: dict[str, Any]
    state: str = "Creating"
    log: str = "INFO: Application startup complete."


@dataclass
class SimulatedEndpoint(Resource):
    deployments: dict[str, Resource] = field(default_factory=dict)

    @property
    def traffic(self) -> dict[str, int]:
        return dict(self.body["properties"].get("traffic") or {})

    @property
    def mirrored(self) -> dict[str, int]:
        return dict(self.body["properties"].get("mirrorTraffic") or {})

    @property
    def is_busy(self) -> bool:
        return any(item.state in IN_PROGRESS for item in (self, *self.deployments.values()))


def echo(_: str, body: dict[str, Any]) -> str:
    return f"You said: {body['messages'][-1]['content']}"


class OnlineEndpoints:
    """`failures` are used up by the next deployments. `answer` is the server of all deployments. `scored` has the
    deployment of each request, `traffic` each traffic and mirrored traffic that an endpoint got."""

    def __init__(self) -> None:
        self.by_name: dict[str, SimulatedEndpoint] = {}
        self.failures: list[Failure] = []
        self.answer: Answer = echo
        self.scored: list[str] = []
        self.traffic: list[tuple[dict[str, int], dict[str, int]]] = []
        self.autoscale: dict[str, dict[str, Any]] = {}

    def __getitem__(self, name: str) -> SimulatedEndpoint:
        if name not in self.by_name:
            raise not_found("online endpoint", name)
        return self.by_name[name]

    def deployment(self, endpoint: str, name: str) -> Resource:
        if name not in self[endpoint].deployments:
            raise not_found("online deployment", name)
        return self[endpoint].deployments[name]

    def check_traffic(self, name: str, properties: dict[str, Any]) -> None:
        """Raises ArmError for traffic that Azure refuses."""
        traffic, mirrored = properties.get("traffic") or {}, properties.get("mirrorTraffic") or {}
        deployments = self.by_name[name].deployments if name in self.by_name else {}
        ready = {color for color, deployment in deployments.items() if deployment.state == "Succeeded"}
        valid = (
            sum(traffic.values()) in (0, 100)
            and {*traffic, *mirrored} <= ready
            and len(mirrored) <= 1
            and max(mirrored.values(), default=0) <= 50
            and not {*traffic} & {*mirrored}
        )
        if not valid:
            raise ArmError(400, "BadArgument", f"Traffic {traffic} with mirrored traffic {mirrored} is not valid.")


def _check_idle(workspace: "SimulatedWorkspace", name: str) -> None:
    if name in workspace.online.by_name and workspace.online[name].is_busy:
        raise ArmError(409, "Conflict", f"There is already an operation in progress on endpoint {name!r}.")


def _endpoint(workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
    endpoint = workspace.online[name]
    uri = f"https://{name}.{REGION}.inference.ml.azure.com"
    added = {"provisioningState": endpoint.state, "scoringUri": f"{uri}/", "swaggerUri": f"{uri}/swagger.json"}
    added |= {"properties": endpoint.body["properties"].get("properties") or {}}
    body = resource(workspace, f"onlineEndpoints/{name}", {**endpoint.body["properties"], **added})
    return {**endpoint.body, **body, "kind": "Managed", "location": REGION}


def _deployment(workspace: "SimulatedWorkspace", endpoint: str, name: str) -> dict[str, Any]:
    deployment = workspace.online.deployment(endpoint, name)
    properties = {**deployment.body["properties"], "provisioningState": deployment.state}
    properties["properties"] = properties.get("properties") or {}
    properties["scaleSettings"] = properties.get("scaleSettings") or {"scaleType": "Default"}
    body = resource(workspace, f"onlineEndpoints/{endpoint}/deployments/{name}", properties)
    return {**deployment.body, **body, "kind": "Managed", "location": REGION}


@arm("PUT", "/onlineEndpoints/{name}", ENDPOINTS)
def put_endpoint(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, online, body = request.names["name"], workspace.online, copy.deepcopy(request.body)
    _check_idle(workspace, name)
    online.check_traffic(name, body["properties"])
    is_new = name not in online.by_name
    if is_new:
        online.by_name[name] = SimulatedEndpoint(body)
    endpoint = online[name]
    endpoint.body, endpoint.state = body, "Creating" if is_new else "Updating"
    if not online.traffic or online.traffic[-1] != (endpoint.traffic, endpoint.mirrored):
        online.traffic.append((endpoint.traffic, endpoint.mirrored))
    operation = workspace.operations.begin(lambda: setattr(endpoint, "state", "Succeeded"))
    return Reply(201 if is_new else 200, _endpoint(workspace, name), workspace.operations.asynchronous(operation))


@arm("GET", "/onlineEndpoints/{name}", ENDPOINTS, DEPLOYMENTS)
def get_endpoint(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_endpoint(workspace, request.names["name"]))


@arm("DELETE", "/onlineEndpoints/{name}", ENDPOINTS)
def delete_endpoint(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    _check_idle(workspace, name)
    workspace.online[name].state = "Deleting"
    operation = workspace.operations.begin(lambda: workspace.online.by_name.pop(name))
    return Reply(202, headers=workspace.operations.location(operation))


@arm("POST", "/onlineEndpoints/{name}/listKeys", ENDPOINTS)
def keys(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    workspace.online[request.names["name"]]  # an endpoint that does not exist is not found
    return Reply(body={"primaryKey": "a-simulated-key", "secondaryKey": "another-simulated-key"})


@arm("GET", "/onlineEndpoints/{name}/deployments", ENDPOINTS, DEPLOYMENTS)
def deployments(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    items = [_deployment(workspace, name, color) for color in workspace.online[name].deployments]
    return page(request, items, workspace.page_size)


@arm("GET", "/onlineEndpoints/{name}/deployments/{color}", DEPLOYMENTS)
def get_deployment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_deployment(workspace, request.names["name"], request.names["color"]))


@arm("PUT", "/onlineEndpoints/{name}/deployments/{color}", DEPLOYMENTS)
def put_deployment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, color, online = request.names["name"], request.names["color"], workspace.online
    endpoint = online[name]
    _check_idle(workspace, name)
    is_new = color not in endpoint.deployments
    deployment = Resource(copy.deepcopy(request.body), "Creating" if is_new else "Updating")
    endpoint.deployments[color] = deployment
    failure = online.failures.pop(0) if online.failures else None

    def finish() -> None:
        deployment.state = "Failed" if failure else "Succeeded"
        if failure:
            deployment.log = failure.log
            raise ArmError(400, failure.code, failure.message)

    headers = workspace.operations.asynchronous(workspace.operations.begin(finish))
    return Reply(201 if is_new else 200, _deployment(workspace, name, color), headers)


@arm("DELETE", "/onlineEndpoints/{name}/deployments/{color}", DEPLOYMENTS)
def delete_deployment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, color = request.names["name"], request.names["color"]
    endpoint = workspace.online[name]
    _check_idle(workspace, name)
    if endpoint.traffic.get(color):
        raise ArmError(400, "BadArgument", f"Deployment {color!r} has traffic and cannot be deleted.")
    workspace.online.deployment(name, color).state = "Deleting"
    operation = workspace.operations.begin(lambda: endpoint.deployments.pop(color))
    return Reply(202, headers=workspace.operations.location(operation))


@arm("POST", "/onlineEndpoints/{name}/deployments/{color}/getLogs", DEPLOYMENTS)
def logs(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Only the server has a log."""
    log = workspace.online.deployment(request.names["name"], request.names["color"]).log
    return Reply(body={"content": log if request.body["containerType"] == "InferenceServer" else ""})


@scoring("POST", "/v1/chat/completions", audience=ML_AUDIENCE)
def chat_completions(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """The deployment of the header, or else one of those with traffic, in turn."""
    endpoint = workspace.online[request.names["endpoint"]]
    color = request.headers.get(DEPLOYMENT_HEADER) or _by_traffic(endpoint.traffic, len(workspace.online.scored))
    if color not in endpoint.deployments:
        raise ArmError(404, "DeploymentNotFound", f"There is no deployment {color!r}.")
    if endpoint.deployments[color].state != "Succeeded":
        raise ArmError(424, "ModelNotReady", f"Deployment {color!r} is not ready.")
    workspace.online.scored.append(color)
    content = workspace.online.answer(color, request.body)
    message = {"role": "assistant", "content": content}
    return Reply(body={"model": request.body["model"], "choices": [{"index": 0, "message": message}]})


def _by_traffic(traffic: dict[str, int], number: int) -> str:
    colors = [color for color, percent in traffic.items() for _ in range(percent)]
    return colors[number % len(colors)] if colors else ""


@resource_manager("PUT", AUTOSCALE_PATH, AUTOSCALE)
def put_autoscale(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    workspace.online.autoscale[request.names["name"]] = request.body
    return Reply(201, request.body)


@resource_manager("DELETE", AUTOSCALE_PATH, AUTOSCALE)
def delete_autoscale(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    removed = workspace.online.autoscale.pop(request.names["name"], None)
    return Reply(200 if removed else 204)
