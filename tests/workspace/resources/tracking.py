"""MLflow's tracking server of a workspace, and the token of a run."""

from typing import TYPE_CHECKING, Any

from tests.workspace.credential import run_token
from tests.workspace.routes import ARM_AUDIENCE, RUN_AUDIENCE, SCOPE, data_plane
from tests.workspace.wire import Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

MLFLOW = f"/mlflow/v2.0{SCOPE}/api/2.0/mlflow"
# The token of a run, or that of a user on whose machine MLflow runs.
TRACKING_AUDIENCES = (RUN_AUDIENCE, ARM_AUDIENCE)
TOKEN = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}/token"


class Tracking:
    """`metrics`, `params` and `tags` of the runs, as they were logged. `experiments`: name -> id. `statuses`: those of
    runs that MLflow created."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.statuses: dict[str, str] = {}
        self.tags: dict[str, dict[str, str]] = {}
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.params: dict[str, dict[str, str]] = {}


@data_plane("GET", f"{MLFLOW}/runs/get", audiences=TRACKING_AUDIENCES)
def run(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.query["run_id"]
    params = [{"key": key, "value": value} for key, value in workspace.tracking.params.get(name, {}).items()]
    return Reply(body={"run": {"info": _info(name), "data": {"params": params}}})


def _info(run: str, status: str = "RUNNING") -> dict[str, Any]:
    return {"run_id": run, "run_uuid": run, "experiment_id": "22222222", "status": status, "start_time": 0}


@data_plane("GET", f"{MLFLOW}/experiments/get-by-name", audiences=TRACKING_AUDIENCES)
def experiment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.query["experiment_name"]
    if name not in workspace.tracking.experiments:
        return Reply(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no experiment {name!r}"})
    experiment_id = workspace.tracking.experiments[name]
    return Reply(body={"experiment": {"experiment_id": experiment_id, "name": name, "lifecycle_stage": "active"}})


@data_plane("POST", f"{MLFLOW}/experiments/create", audiences=TRACKING_AUDIENCES)
def create_experiment(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    experiments = workspace.tracking.experiments
    return Reply(body={"experiment_id": experiments.setdefault(request.body["name"], str(len(experiments) + 1))})


@data_plane("POST", f"{MLFLOW}/runs/create", audiences=TRACKING_AUDIENCES)
def create_run(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = f"created-{len(workspace.tracking.statuses) + 1}"
    workspace.tracking.statuses[name] = "RUNNING"
    return Reply(body={"run": {"info": _info(name), "data": {}}})


@data_plane("POST", f"{MLFLOW}/runs/update", audiences=TRACKING_AUDIENCES)
def update_run(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, status = request.body["run_id"], request.body["status"]
    workspace.tracking.statuses[name] = status
    return Reply(body={"run_info": _info(name, status)})


@data_plane("POST", f"{MLFLOW}/runs/log-batch", audiences=TRACKING_AUDIENCES)
def log_batch(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, body = request.body["run_id"], request.body
    workspace.tracking.metrics.setdefault(name, []).extend(body.get("metrics", []))
    for kind, logged in (("params", workspace.tracking.params), ("tags", workspace.tracking.tags)):
        logged.setdefault(name, {}).update({item["key"]: item["value"] for item in body.get(kind, [])})
    return Reply(body={})


@data_plane("GET", TOKEN, audiences=(RUN_AUDIENCE,))
def token(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A new token for a run. An expired one gets 401: the route's token is checked."""
    return Reply(body={"token": run_token(3600), "expiryTimeUtc": "2030-01-01T00:00:00Z"})
