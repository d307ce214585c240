"""Batch endpoints, their pipeline component deployments, and their invocation, which creates a job.

Sources: https://learn.microsoft.com/azure/machine-learning/how-to-access-data-batch-endpoints-jobs (REST) and the
client. A deployment must name a component that exists; no job runs.
"""

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.workspace.resources.frame import resource
from tests.workspace.resources.online_endpoints import DEPLOYMENT_HEADER, Failure, Resource
from tests.workspace.routes import ML_AUDIENCE, REGION, arm, scoring
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

ENDPOINTS, DEPLOYMENTS = "2023-10-01", "2024-01-01-preview"
# Of deployments of a pipeline component, when they are created.
COMPONENT_DEPLOYMENTS = "2023-02-01-preview"

# Types of an invocation's inputs, as the job has them.
JOB_INPUTS = {"UriFile": "uri_file", "UriFolder": "uri_folder", "Literal": "literal"}


@dataclass
class SimulatedBatchEndpoint(Resource):
    deployments: dict[str, Resource] = field(default_factory=dict)

    @property
    def default(self) -> str | None:
        """Name of the deployment that answers requests without one."""
        return (self.body["properties"].get("defaults") or {}).get("deploymentName")


class BatchEndpoints:
    """`failures` are used up by the next deployments. `invoked` has the deployment and the body of each request."""

    def __init__(self) -> None:
        self.by_name: dict[str, SimulatedBatchEndpoint] = {}
        self.failures: list[Failure] = []
        self.invoked: list[tuple[str, dict[str, Any]]] = []

    def __getitem__(self, name: str) -> SimulatedBatchEndpoint:
        if name not in self.by_name:
            raise not_found("batch endpoint", name)
        return self.by_name[name]

    def deployment(self, endpoint: str, name: str | None) -> Resource:
        if name not in self[endpoint].deployments:
            raise not_found("batch deployment", str(name))
        return self[endpoint].deployments[name]


def _endpoint(workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
    endpoint = workspace.batch[name]
    uri = f"https://{name}.{REGION}.inference.ml.azure.com"
    added = {"provisioningState": endpoint.state, "scoringUri": f"{uri}/jobs", "swaggerUri": f"{uri}/swagger.json"}
    body = resource(workspace, f"batchEndpoints/{name}", {**endpoint.body["properties"], **added})
    return {**endpoint.body, **body, "location": REGION}


def _deployment(workspace: "SimulatedWorkspace", endpoint: str, name: str) -> dict[str, Any]:
    deployment = workspace.batch.deployment(endpoint, name)
    properties = {**deployment.body["properties"], "provisioningState": deployment.state}
    body = resource(workspace, f"batchEndpoints/{endpoint}/deployments/{name}", properties)
    return {**deployment.body, **body, "location": REGION}


@arm("PUT", "/batchEndpoints/{name}", ENDPOINTS)
def put_endpoint(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, batch, body = request.names["name"], workspace.batch, copy.deepcopy(request.body)
    is_new = name not in batch.by_name
    endpoint = batch.by_name.setdefault(name, SimulatedBatchEndpoint(body))
    default = SimulatedBatchEndpoint(body).default
    if default and default not in endpoint.deployments:
        raise ArmError(400, "BadArgument", f"Endpoint {name!r} has no deployment {default!r}.")
    endpoint.body, endpoint.state = body, "Creating" if is_new else "Updating"
    operation = workspace.operations.begin(lambda: setattr(endpoint, "state", "Succeeded"))
    return Reply(201 if is_new else 200, _endpoint(workspace, name), workspace.operations.asynchronous(operation))


@arm("GET", "/batchEndpoints/{name}", ENDPOINTS, DEPLOYMENTS)
def get_endpoint(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_endpoint(workspace, request.names["name"]))


@arm("GET", "/batchEndpoints/{name}/deployments", DEPLOYMENTS)
def deployments(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    return Reply(body={"value": [_deployment(workspace, name, one) for one in workspace.batch[name].deployments]})


@arm("GET", "/batchEndpoints/{name}/deployments/{deployment}", DEPLOYMENTS, COMPONENT_DEPLOYMENTS)
def get_deployment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_deployment(workspace, request.names["name"], request.names["deployment"]))


@arm("PUT", "/batchEndpoints/{name}/deployments/{deployment}", COMPONENT_DEPLOYMENTS)
def put_deployment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, deployment_name, batch = request.names["name"], request.names["deployment"], workspace.batch
    component = request.body["properties"]["deploymentConfiguration"]["componentId"]["assetId"]
    component_name, version = component.rpartition("/components/")[2].split("/versions/")
    workspace.assets.get("components", component_name, version)  # a component that does not exist is not found
    is_new = deployment_name not in batch[name].deployments
    deployment = Resource(copy.deepcopy(request.body))
    batch[name].deployments[deployment_name] = deployment
    failure = batch.failures.pop(0) if batch.failures else None

    def finish() -> None:
        deployment.state = "Failed" if failure else "Succeeded"
        if failure:
            raise ArmError(400, failure.code, failure.message)

    headers = workspace.operations.asynchronous(workspace.operations.begin(finish))
    return Reply(201 if is_new else 200, _deployment(workspace, name, deployment_name), headers)


@scoring("POST", "/jobs", audience=ML_AUDIENCE)
def invoke(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A job of the deployment of the header, or else of the default one."""
    name, batch = request.names["endpoint"], workspace.batch
    deployment_name = request.headers.get(DEPLOYMENT_HEADER) or batch[name].default
    deployment = batch.deployment(name, deployment_name)
    batch.invoked.append((str(deployment_name), request.body["properties"]))
    job = f"batchjob-{len(batch.invoked)}"
    component = deployment.body["properties"]["deploymentConfiguration"]["componentId"]["assetId"]
    sent = request.body["properties"].get("inputData") or {}
    inputs = {key: {**value, "jobInputType": JOB_INPUTS[value["jobInputType"]]} for key, value in sent.items()}
    properties = {"jobType": "Pipeline", "componentId": component, "inputs": inputs, "settings": {}, "jobs": {}}
    workspace.jobs.put(job, properties)
    return Reply(200, resource(workspace, f"jobs/{job}", {"status": workspace.jobs[job].status}))
