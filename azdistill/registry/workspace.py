"""Register a student in the workspace that the job runs in, once for the same content."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from azdistill.azure_rest.workspace import ArmResponse, Workspace
from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.register import RegisterConfig
from azdistill.registry.flavour import laid_out
from azdistill.registry.lineage import DIGEST_TAG, Lineage
from azdistill.registry.registered import Registered
from azdistill.registry.runs import JobRun, describe, tracking

ARTIFACTS = "model"
DISTILLED, BASELINE, BASELINE_TAG = "-distilled", "-baseline", "azdistill.baseline"
RACES = 5
"""How often a version may be taken by another job while we ask for it."""

WHAT_TO_DO = {
    401: "the identity of this job was refused; run the job in the workspace's own tenant",
    403: "the identity of this job may not write models; give it the role 'AzureML Data Scientist' on the workspace",
}


def register_in_workspace(
    folder: Path, lineage: Lineage, config: RegisterConfig, workspace: Workspace, run: JobRun
) -> Registered:
    """Give the model in `folder` the next version of its name, or find the version that it has.

    The files go up as artifacts of the job's run, and the version points there: an output of another node may be
    cleared away, a registered model may not. Figures and tags go to the run, too. `config.baseline` becomes a
    version that points into the registry, or only a tag where the workspace takes no such reference. Raises
    AzdistillError for what the workspace or the run refuses, InputError without an identity.
    """
    models, name = Models(workspace), config.registered_model
    tags = lineage.tags() | ({BASELINE_TAG: config.baseline} if config.baseline else {})
    found = models.find(name, {"modelType": config.model_type}, {DIGEST_TAG: lineage.model_digest})
    if found is None:
        source = _upload(folder, lineage, config.model_type, run)
        found = models.add(name, _properties(config.model_type, source, tags) | {"jobName": run.run_id})
    untouched = name.removesuffix(DISTILLED) + BASELINE
    baseline = _refer(models, untouched, config.baseline) if config.baseline else None
    place = f"workspace {workspace.name!r}"
    return Registered(name, found.version, f"azureml:{name}:{found.version}", found.uri, run.run_id, place, baseline)


def _upload(folder: Path, lineage: Lineage, model_type: str, run: JobRun) -> str:
    """Not `log_model`, which Azure ML answers with 404: the files go up as plain artifacts."""
    with laid_out(folder, model_type) as files, tracking(run.tracking) as client:
        describe(client, run.run_id, lineage)
        client.log_artifacts(run.run_id, str(files), ARTIFACTS)
    return f"azureml://jobs/{run.run_id}/outputs/artifacts/paths/{ARTIFACTS}/"


def _refer(models: "Models", name: str, asset: str) -> str | None:
    properties = _properties("custom_model", asset, {BASELINE_TAG: asset})
    found = models.find(name, {"modelUri": asset}, {})
    try:
        found = found or models.add(name, properties)
    except ReferenceRefused as refused:
        print(f"register: {refused}; the student's tag {BASELINE_TAG} names it")
        return None
    return f"azureml:{name}:{found.version}"


def _properties(model_type: str, uri: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {"modelType": model_type, "modelUri": uri, "tags": dict(tags)}


class ReferenceRefused(AzdistillError):
    """The workspace found a version's content wrong (HTTP 400)."""


@dataclass(frozen=True)
class Version:
    version: int
    uri: str


class Models:
    """Models of a workspace. Source: Model Versions in the REST reference of Azure ML, 2024-10-01."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def find(self, name: str, properties: Mapping[str, str], tags: Mapping[str, str]) -> Version | None:
        """The newest version that isn't archived and has these properties and tags."""
        found = [
            Version(number, kept["modelUri"])
            for number, kept in self._versions(name)
            if not kept.get("isArchived")
            and properties.items() <= kept.items()
            and tags.items() <= (kept.get("tags") or {}).items()
        ]
        return max(found, key=lambda version: version.version, default=None)

    def add(self, name: str, properties: Mapping[str, Any]) -> Version:
        """A next version; when another job takes it at this moment, the one after it."""
        for _ in range(RACES):
            number = self._next(name)
            reply = self._ask("PUT", name, f"/{number}", {"properties": dict(properties)})
            if reply.status in (200, 201):
                return Version(number, properties["modelUri"])
            if self._next(name) == number:
                raise self._refused(name, reply)
        raise AzdistillError(f"{self._owner(name)}: other jobs took {RACES} versions in a row; run again")

    def _next(self, name: str) -> int:
        return 1 + max((number for number, _ in self._versions(name)), default=0)

    def _versions(self, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Number and properties, archived ones included. Versions that people named in words are left out."""
        query = {"listViewType": "All"}
        while query:
            reply = self._ask("GET", name, query=query)
            if reply.status == 404:
                return
            if reply.status != 200:
                raise self._refused(name, reply)
            for item in reply.content["value"]:
                if item["name"].isdigit():
                    yield int(item["name"]), item["properties"]
            query = dict(parse_qsl(urlsplit(reply.content.get("nextLink") or "").query))

    def _ask(
        self, method: str, name: str, version: str = "", body: Any = None, query: Mapping[str, str] | None = None
    ) -> ArmResponse:
        return self._workspace.request(method, f"models/{name}/versions{version}", self._owner(name), body, query)

    def _owner(self, name: str) -> str:
        return f"model {name!r} of workspace {self._workspace.name!r}"

    def _refused(self, name: str, reply: ArmResponse) -> AzdistillError:
        advice = WHAT_TO_DO.get(reply.status, "run again, and look at the workspace if it stays so")
        said = f"HTTP {reply.status}{': ' if reply.error else ''}{reply.error}"
        kind = ReferenceRefused if reply.status == 400 else AzdistillError
        return kind(f"{self._owner(name)}: {advice} ({said})")
