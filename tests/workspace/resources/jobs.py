"""Jobs in ARM: created once under a name, read, listed and cancelled."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.workspace.credential import audience
from tests.workspace.pages import page
from tests.workspace.resources.assets import NAME
from tests.workspace.resources.frame import resource
from tests.workspace.resources.history import output_uri
from tests.workspace.routes import ML_AUDIENCE, arm
from tests.workspace.simulated_job import ENDED, SimulatedJob
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

READ = "2024-01-01-preview"
# Api-version of a submission, by type of the job.
WRITE = {"Command": "2025-01-01-preview", "Pipeline": READ, "Sweep": READ}
CANCEL = "2023-04-01-preview"

# Lengths of texts.
LONGEST = {"displayName": 256, "experimentName": 256, "description": 5000}
# Properties that may change after the submission.
LABELS = {"description", "displayName", "tags", "isArchived", "properties"}
# Properties that the service adds, and that the client may send back.
ADDED = {"status", "services"}


class Jobs:
    """Jobs by name in the order of submission. `script` is that of the next jobs, see SimulatedJob."""

    def __init__(self) -> None:
        self.by_name: dict[str, SimulatedJob] = {}
        self.script = ["NotStarted"]

    def __getitem__(self, name: str) -> SimulatedJob:
        if name not in self.by_name:
            raise not_found("job", name)
        return self.by_name[name]

    def put(self, name: str, properties: dict[str, Any]) -> int:
        """Store a job and return the HTTP status. A name is used once: afterwards only labels may change."""
        if name not in self.by_name:
            self.by_name[name] = SimulatedJob.submitted(name, properties, self.script)
            return 201
        before, now = _fixed(self.by_name[name].properties), _fixed(properties)
        if changed := [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]:
            raise _name_taken(changed)
        self.by_name[name].properties.update({key: properties[key] for key in LABELS & set(properties)})
        return 200

    def parent(self, run: str) -> SimulatedJob | None:
        """The pipeline whose child has this run."""
        return next((job for job in self.by_name.values() if any(run == child.name for child in job.children)), None)

    def run(self, name: str) -> SimulatedJob:
        """A job or the child of one, by the name of its run."""
        children = self.parent(name)
        return children.child_run(name) if children else self[name]


def _fixed(properties: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in properties.items() if key not in LABELS | ADDED and value is not None}
    outputs = {name: output for name, output in (kept.get("outputs") or {}).items() if name != "default"}
    return {**kept, "outputs": outputs}


def _name_taken(fields: list[str]) -> ArmError:
    """The error of the service."""
    message = (
        "A job with this name already exists. If you are trying to submit a new job, use a different name. If you are "
        f"trying to update an existing job, the existing job's {', '.join(fields)} cannot be changed. Only "
        "description, displayName, tags, and isArchived can be updated."
    )
    return ArmError(400, "UserError", message)


def _resource(workspace: "SimulatedWorkspace", job: SimulatedJob, status: str) -> dict[str, Any]:
    """The submitted properties, with status, studio URL and URIs of outputs, which the service adds."""
    studio = f"https://ml.azure.com/runs/{job.name}?wsid={workspace.arm_id}"
    added: dict[str, Any] = {
        "status": status,
        "services": {"Studio": {"jobServiceType": "Studio", "endpoint": studio}},
    }
    if job.properties["jobType"] == "Pipeline":
        added["outputs"] = _outputs(workspace, job)
    else:
        uri = f"azureml://datastores/workspaceartifactstore/ExperimentRun/dcid.{job.name}"
        default = {"jobOutputType": "uri_folder", "uri": uri, "mode": "ReadWriteMount"}
        added["outputs"] = {**(job.properties.get("outputs") or {}), "default": default}
    return resource(workspace, f"jobs/{job.name}", {**job.properties, **added})


def _outputs(workspace: "SimulatedWorkspace", job: SimulatedJob) -> dict[str, Any]:
    """The outputs of a pipeline, with the URI of those that the job has written."""
    uris = {name: output_uri(job.name, name) for name in workspace.runs.outputs(job.name)}
    sent = job.properties.get("outputs") or {}
    return {name: {**port, "uri": uris[name]} if name in uris else port for name, port in sent.items()}


def _check_labels(name: str, properties: dict[str, Any]) -> None:
    """Raises ArmError for a name, a text or a tag that is not valid. Source: the service limits in
    https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity."""
    tags = {**(properties.get("tags") or {})}
    valid = (
        NAME.fullmatch(name)
        and all(len(properties.get(field) or "") <= limit for field, limit in LONGEST.items())
        and len(tags) <= 50
        and all(len(key) <= 100 and len(value or "") <= 1000 for key, value in tags.items())
    )
    if not valid:
        raise ArmError(400, "UserError", f"The name, a text or the tags of job {name!r} are not valid.")


@arm("PUT", "/jobs/{name}", *WRITE.values())
def put(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name, properties = request.names["name"], request.body["properties"]
    kind = properties["jobType"]
    if request.api_version != WRITE.get(kind):
        raise ArmError(400, "UserError", f"A {kind} job cannot be submitted with api-version {request.api_version}.")
    _check_labels(name, properties)
    if kind == "Pipeline" and audience(request.headers.get("x-azureml-token", "")) != ML_AUDIENCE:
        raise ArmError(401, "UserError", f"A pipeline job needs a token for {ML_AUDIENCE} in x-azureml-token.")
    workspace.managed_identities.check_job(properties)
    status = workspace.jobs.put(name, properties)
    return Reply(status, _resource(workspace, workspace.jobs[name], workspace.jobs[name].status))


@arm("GET", "/jobs/{name}", READ)
def get(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A job. The child of a pipeline has no properties here: they are in run history."""
    name = request.names["name"]
    if workspace.jobs.parent(name):
        return Reply(body=resource(workspace, f"jobs/{name}", None))
    job = workspace.jobs[name]
    return Reply(body=_resource(workspace, job, job.next_status()))


@arm("GET", "/jobs", READ)
def jobs(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Newest first."""
    matching = [job for job in reversed(workspace.jobs.by_name.values()) if _matches(job, request.query)]
    return page(request, [_resource(workspace, job, job.status) for job in matching], workspace.page_size)


def _matches(job: SimulatedJob, query: Mapping[str, str]) -> bool:
    """True if a job matches the query of a list: archived or not, and a tag ("name" or "name=value")."""
    archived = {"ActiveOnly": {False}, "ArchivedOnly": {True}, "All": {False, True}}[query["listViewType"]]
    name, _, value = query.get("tag", "").partition("=")
    tags = job.properties.get("tags") or {}
    tagged = not name or (name in tags and value in {"", tags[name]})
    return tagged and bool(job.properties.get("isArchived")) in archived


@arm("POST", "/jobs/{name}/cancel", CANCEL)
def cancel(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    job = workspace.jobs[request.names["name"]]
    if job.status in ENDED:
        return Reply(200)
    job.script = ["CancelRequested"]
    return Reply(202, headers=workspace.operations.location(workspace.operations.begin(job.cancel)))
