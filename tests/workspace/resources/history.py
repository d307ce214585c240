"""Run history and data service: status, logs, children and outputs of a run."""

from typing import TYPE_CHECKING, Any

from tests.workspace.blobs import Blobs
from tests.workspace.pages import page
from tests.workspace.resources.datastores import ARTIFACT_STORE, BLOB_STORE, Datastores
from tests.workspace.routes import REGION, SCOPE, data_plane
from tests.workspace.simulated_job import SimulatedJob
from tests.workspace.wire import Reply, Request

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

HISTORY, VERSION = f"/history/v1.0{SCOPE}", "v1.0"
DATA, DATA_VERSION = f"/data/v1.0{SCOPE}", "1.5.0"


class Runs:
    """Logs of runs in the artifact store, and their outputs in the blob store. Tests write both."""

    def __init__(self, blobs: Blobs, datastores: Datastores) -> None:
        self._blobs = blobs
        self._artifacts = datastores.containers[ARTIFACT_STORE]
        self._outputs = datastores.containers[BLOB_STORE]
        self.written_outputs: list[tuple[str, str]] = []

    def log(self, run: str, path: str, text: str) -> None:
        """Write a log: "user_logs/std_log.txt" of a step, "logs/azureml/..." of a pipeline."""
        self._blobs.write(self._artifacts, f"{_folder(run)}{path}", text.encode())

    def log_files(self, run: str) -> dict[str, str]:
        """Path -> URL with a SAS token, of each log of a run."""
        names = self._blobs.names(self._artifacts, _folder(run))
        return {name: self._blobs.url(self._artifacts, _folder(run) + name) for name in names}

    def output(self, run: str, name: str, files: dict[str, str]) -> None:
        """Write files (path -> text) of one output of a run."""
        self.written_outputs.append((run, name))
        for path, text in files.items():
            self._blobs.write(self._outputs, f"azureml/{run}/{name}/{path}", text.encode())

    def outputs(self, run: str) -> list[str]:
        return [name for its_run, name in self.written_outputs if its_run == run]


def _folder(run: str) -> str:
    return f"ExperimentRun/dcid.{run}/"


def _output_id(run: str, name: str) -> str:
    return f"azureml://locations/{REGION}/data/azureml_{run}_output_data_{name}/versions/1"


def output_uri(run: str, name: str) -> str:
    return f"azureml://datastores/{BLOB_STORE}/paths/azureml/{run}/{name}/"


def _run(workspace: "SimulatedWorkspace", job: SimulatedJob, status: str) -> dict[str, Any]:
    parent = workspace.jobs.parent(job.name)
    pipeline = parent or job
    return {
        "runId": job.name,
        "rootRunId": pipeline.name,
        "parentRunId": parent.name if parent else None,
        "displayName": job.node or job.properties.get("displayName"),
        "experimentId": "22222222-2222-2222-2222-222222222222",
        "status": status,
        "runType": "azureml.StepRun" if parent else "azureml.PipelineRun",
        "properties": {},
        "tags": {},
        "outputs": {
            name: {"assetId": _output_id(job.name, name), "type": "uri_folder"}
            for name in workspace.runs.outputs(job.name)
        },
        "createdUtc": "2026-11-02T09:00:00.000000+00:00",
    }


@data_plane("GET", f"{HISTORY}/runs/{{run}}", VERSION)
def run(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    job = workspace.jobs.run(request.names["run"])
    return Reply(body=_run(workspace, job, job.next_status()))


@data_plane("GET", f"{HISTORY}/runs/{{run}}/details", VERSION)
def details(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    job = workspace.jobs.run(request.names["run"])
    status = job.next_status()
    error = {"error": job.root_error()} if status == "Failed" else None
    logs = workspace.runs.log_files(job.name)
    return Reply(body={"runId": job.name, "status": status, "logFiles": logs, "warnings": [], "error": error})


@data_plane("GET", f"{HISTORY}/runs/{{run}}/children", VERSION)
def children(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    children = workspace.jobs[request.names["run"]].children
    return page(request, [_run(workspace, child, child.status) for child in children], workspace.page_size)


@data_plane("POST", f"{HISTORY}/rundata", VERSION)
def run_data(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    job = workspace.jobs.run(request.body["runId"])
    return Reply(body={"runMetadata": _run(workspace, job, job.status)})


@data_plane("PATCH", f"{HISTORY}/experiments/{{experiment}}/runs/{{run}}", VERSION)
def modify(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Change labels of a job, or archive it (`hidden`)."""
    job, body = workspace.jobs[request.names["run"]], request.body
    job.properties.update({key: body[key] for key in ("displayName", "description", "tags") if key in body})
    job.properties["isArchived"] = body.get("hidden", job.properties.get("isArchived", False))
    return Reply(body=_run(workspace, job, job.status))


@data_plane("POST", f"{DATA}/dataversion/batchGetResolvedUris", DATA_VERSION)
def resolved_uris(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """URIs of outputs, by the ids in the run data."""
    known = {_output_id(*output): output_uri(*output) for output in workspace.runs.written_outputs}
    return Reply(body={"values": {asset: {"uri": known[asset]} for asset in request.body["values"]}})
