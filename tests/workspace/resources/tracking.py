"""MLflow's tracking server of a workspace, and the token of a run."""

from typing import TYPE_CHECKING, Any

from tests.workspace.credential import run_token
from tests.workspace.routes import RUN_AUDIENCE, SCOPE, data_plane
from tests.workspace.wire import Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

MLFLOW = f"/mlflow/v2.0{SCOPE}/api/2.0/mlflow"
TOKEN = f"/history/v1.0{SCOPE}/experimentids/{{experiment}}/runs/{{run}}/token"


class Tracking:
    """`metrics`, `params` and `tags` of the runs, as they were logged."""

    def __init__(self) -> None:
        self.tags: dict[str, dict[str, str]] = {}
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.params: dict[str, dict[str, str]] = {}


@data_plane("GET", f"{MLFLOW}/runs/get", audience=RUN_AUDIENCE)
def run(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.query["run_id"]
    params = [{"key": key, "value": value} for key, value in workspace.tracking.params.get(name, {}).items()]
    info = {"run_id": name, "run_uuid": name, "experiment_id": "22222222", "status": "RUNNING", "start_time": 0}
    return Reply(body={"run": {"info": info, "data": {"params": params}}})


@data_plane("POST", f"{MLFLOW}/runs/log-batch", audience=RUN_AUDIENCE)
def log_batch(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, body = request.body["run_id"], request.body
    workspace.tracking.metrics.setdefault(name, []).extend(body.get("metrics", []))
    for kind, logged in (("params", workspace.tracking.params), ("tags", workspace.tracking.tags)):
        logged.setdefault(name, {}).update({item["key"]: item["value"] for item in body.get(kind, [])})
    return Reply(body={})


@data_plane("GET", TOKEN, audience=RUN_AUDIENCE)
def token(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A new token for a run. An expired one gets 401: the route's token is checked."""
    return Reply(body={"token": run_token(3600), "expiryTimeUtc": "2030-01-01T00:00:00Z"})
