"""Jobs as ARM has them: sent once under a name, looked at, cancelled."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.workspace.credential import audience
from tests.workspace.job import ENDED, Job
from tests.workspace.pages import page
from tests.workspace.resources.history import output_uri
from tests.workspace.resources.stamp import resource
from tests.workspace.routes import ML_AUDIENCE, arm
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

READ = "2024-01-01-preview"
WRITE = {"Command": "2025-01-01-preview", "Pipeline": READ, "Sweep": READ}
"""Which api-version a job is sent with depends on its type."""
CANCEL = "2023-04-01-preview"

LABELS = {"description", "displayName", "tags", "isArchived", "properties"}
"""What may change once a job is there."""
ADDED = {"status", "services"}
"""What the service adds, and the client may send back."""


class Jobs:
    """Name -> job, in the order they were sent. `script` is for jobs to come (see Job)."""

    def __init__(self) -> None:
        self.kept: dict[str, Job] = {}
        self.script = ["NotStarted"]

    def __getitem__(self, name: str) -> Job:
        if name not in self.kept:
            raise not_found("job", name)
        return self.kept[name]

    def put(self, name: str, properties: dict[str, Any]) -> int:
        """Keep a job; returns the HTTP status. A name is used once: afterwards only labels may change."""
        if name not in self.kept:
            self.kept[name] = Job.sent(name, properties, self.script)
            return 201
        before, now = _fixed(self.kept[name].properties), _fixed(properties)
        if changed := [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]:
            raise _name_taken(changed)
        self.kept[name].properties.update({key: properties[key] for key in LABELS & set(properties)})
        return 200

    def parent(self, run: str) -> Job | None:
        """The pipeline whose child has this run."""
        return next((job for job in self.kept.values() if any(run == child.name for child in job.children)), None)

    def run(self, name: str) -> Job:
        """A job or the child of one, by the name of its run."""
        children = self.parent(name)
        return children.child_run(name) if children else self[name]


def _fixed(properties: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in properties.items() if key not in LABELS | ADDED and value is not None}
    outputs = {name: output for name, output in (kept.get("outputs") or {}).items() if name != "default"}
    return {**kept, "outputs": outputs}


def _name_taken(fields: list[str]) -> ArmError:
    """As the service words it."""
    message = (
        "A job with this name already exists. If you are trying to submit a new job, use a different name. If you are "
        f"trying to update an existing job, the existing job's {', '.join(fields)} cannot be changed. Only "
        "description, displayName, tags, and isArchived can be updated."
    )
    return ArmError(400, "UserError", message)


def _resource(workspace: "Workspace", job: Job, status: str) -> dict[str, Any]:
    """What was sent, and what the service adds: status, where to look at it, where it writes."""
    studio = f"https://ml.azure.com/runs/{job.name}?wsid={workspace.arm_id}"
    added: dict[str, Any] = {
        "status": status,
        "services": {"Studio": {"jobServiceType": "Studio", "endpoint": studio}},
    }
    if job.properties["jobType"] == "Pipeline":
        added["outputs"] = _placed(workspace, job)
    else:
        uri = f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{job.name}"
        default = {"jobOutputType": "uri_folder", "uri": uri, "mode": "ReadWriteMount"}
        added["outputs"] = {**(job.properties.get("outputs") or {}), "default": default}
    return resource(workspace, f"jobs/{job.name}", {**job.properties, **added})


def _placed(workspace: "Workspace", job: Job) -> dict[str, Any]:
    """The outputs of a pipeline, each with the place where it lies once the job has written it."""
    places = {name: output_uri(job.name, name) for name in workspace.runs.outputs(job.name)}
    sent = job.properties.get("outputs") or {}
    return {name: {**port, "uri": places[name]} if name in places else port for name, port in sent.items()}


@arm("PUT", "/jobs/{name}", *WRITE.values())
def put(workspace: "Workspace", request: Request) -> Reply:
    name, properties = request.names["name"], request.body["properties"]
    kind = properties["jobType"]
    if request.api_version != WRITE.get(kind):
        raise ArmError(400, "UserError", f"A {kind} job is not sent with api-version {request.api_version}.")
    if kind == "Pipeline" and audience(request.headers.get("x-azureml-token", "")) != ML_AUDIENCE:
        raise ArmError(401, "UserError", f"A pipeline job wants a token for {ML_AUDIENCE} in x-azureml-token.")
    status = workspace.jobs.put(name, properties)
    return Reply(status, _resource(workspace, workspace.jobs[name], workspace.jobs[name].status))


@arm("GET", "/jobs/{name}", READ)
def get(workspace: "Workspace", request: Request) -> Reply:
    """A job. A pipeline's child has a name here and nothing else: run history knows the rest."""
    name = request.names["name"]
    if workspace.jobs.parent(name):
        return Reply(body=resource(workspace, f"jobs/{name}", None))
    job = workspace.jobs[name]
    return Reply(body=_resource(workspace, job, job.look()))


@arm("GET", "/jobs", READ)
def jobs(workspace: "Workspace", request: Request) -> Reply:
    """Newest first."""
    found = [job for job in reversed(workspace.jobs.kept.values()) if _wanted(job, request.query)]
    return page(request, [_resource(workspace, job, job.status) for job in found], workspace.page_size)


def _wanted(job: Job, query: Mapping[str, str]) -> bool:
    """Whether a list with this query has the job: archived or not, and of a tag ("name" or "name=value")."""
    archived = {"ActiveOnly": {False}, "ArchivedOnly": {True}, "All": {False, True}}[query["listViewType"]]
    name, _, value = query.get("tag", "").partition("=")
    tags = job.properties.get("tags") or {}
    tagged = not name or (name in tags and value in {"", tags[name]})
    return tagged and bool(job.properties.get("isArchived")) in archived


@arm("POST", "/jobs/{name}/cancel", CANCEL)
def cancel(workspace: "Workspace", request: Request) -> Reply:
    job = workspace.jobs[request.names["name"]]
    if job.status in ENDED:
        return Reply(200)
    job.script = ["CancelRequested"]
    return Reply(202, headers=workspace.operations.location(workspace.operations.begin(job.cancel)))
