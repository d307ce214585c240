"""Register a student in the Azure ML workspace of the job: one version for the same content."""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

from azdistill.azure_rest.blobs import BlobContainer
from azdistill.azure_rest.workspace import ArmResponse, Workspace
from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.register import MLFLOW_MODELS_PATH, RegisterConfig
from azdistill.registry.card import description
from azdistill.registry.lineage import DIGEST_TAG, Lineage
from azdistill.registry.mlflow_layout import mlflow_layout, write_mlflow_layout
from azdistill.registry.runs import Registration, TrackedRun, command_on_failure
from azdistill.registry.transfer import upload

logger = logging.getLogger("azdistill.registry")

DISTILLED, BASELINE, BASELINE_TAG = "-distilled", "-baseline", "azdistill.baseline"

# Folder of the container for models of this machine, by their type. Jobs write layouts of MLflow to the second one.
UPLOADS = {"custom_model": "azdistill/models", "mlflow_model": MLFLOW_MODELS_PATH.partition("/paths/")[2]}

# Attempts to take the next version number while other jobs take it first.
ATTEMPTS = 5

FIX_BY_STATUS = {
    401: "use an identity of the workspace's own tenant: this one was rejected",
    403: "assign the role 'AzureML Data Scientist' on the workspace to this identity: it may not write models",
}


class ModelFiles(Protocol):
    """The files of a model. `address` is where they are now: a path, or an address in the workspace."""

    @property
    def address(self) -> str: ...

    def source(self, model_type: str, digest: str, card: str) -> str:
        """Address in the workspace of the files of a version. Those that are not there are written. `digest` is that of
        the model. Raises AzdistillError when they cannot be written."""


@dataclass(frozen=True)
class StoredModel:
    """A model in the storage of the workspace: `folder` is where it is mounted.

    `mlflow_models` is the mounted folder of MLFLOW_MODELS_PATH.
    """

    folder: Path
    address: str
    mlflow_models: Path

    def source(self, model_type: str, digest: str, card: str) -> str:
        """The model itself for a custom_model. Azure ML's data runtime writes the layout of an mlflow_model through to
        the storage."""
        if model_type == "custom_model":
            return self.address
        try:
            write_mlflow_layout(self.folder, self.mlflow_models / digest, card)
        except OSError as error:
            raise AzdistillError(
                f"the MLflow layout could not be written ({error.strerror or type(error).__name__})",
                code="layout_failed",
                subject=MLFLOW_MODELS_PATH,
                fix="run the job again",
            ) from None
        return f"{mlflow_models_address(self.address)}/{digest}/"


@dataclass(frozen=True)
class LocalModel:
    """A model in a folder of this machine, which is uploaded to the container of a workspace."""

    folder: Path
    workspace: Workspace

    @property
    def address(self) -> str:
        return str(self.folder.resolve())

    def source(self, model_type: str, digest: str, card: str) -> str:
        if model_type == "custom_model":
            paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
            files: Mapping[str, Path | str] = {path.relative_to(self.folder).as_posix(): path for path in paths}
        else:
            files = mlflow_layout(self.folder, card)
        folder = f"{UPLOADS[model_type]}/{digest}"
        with BlobContainer(self.workspace) as container:
            upload(files, container, folder)
            return f"{container.address}/paths/{folder}/"


def register_in_workspace(
    model: ModelFiles, lineage: Lineage, config: RegisterConfig, workspace: Workspace, run: TrackedRun, card: str
) -> Registration:
    """Register a model as the next version of its name, or return the version with the same content.

    Metrics and tags go to the run, too. The model card is the description of the version, as far as it fits, and a file
    of the layout of an mlflow_model. `config.baseline` becomes a version that points into the registry, or only a tag
    where the workspace refuses such a reference. Raises AzdistillError for what the workspace refuses, InputError
    without an identity; the last problem has the command that registers the model.
    """
    models, name = WorkspaceModels(workspace), config.registered_model
    tags = lineage.tags() | ({BASELINE_TAG: config.baseline} if config.baseline else {})
    with _command_on_failure(models, name, "custom_model", model.address):
        version = models.find(name, {"modelType": config.model_type}, {DIGEST_TAG: lineage.model_digest})
        if version is None:
            source = model.source(config.model_type, lineage.model_digest, card)
            with _command_on_failure(models, name, config.model_type, source), run.recorded(name, lineage) as run_id:
                properties = _properties(config.model_type, source, tags) | ({"jobName": run_id} if run_id else {})
                version = _add_described(models, name, properties, description(card))
    baseline = None
    if config.baseline:
        reference = name.removesuffix(DISTILLED) + BASELINE
        with _command_on_failure(models, reference, config.baseline_type, config.baseline):
            properties = _properties(config.baseline_type, config.baseline, {BASELINE_TAG: config.baseline})
            baseline = _register_reference(models, reference, properties)
    return Registration(
        registered_model=name,
        version=version.number,
        model_uri=f"azureml:{name}:{version.number}",
        source=version.uri,
        run_id=run.run_id or version.job,
        registry=f"workspace {workspace.name!r}",
        baseline=baseline,
    )


def _add_described(models: "WorkspaceModels", name: str, properties: Mapping[str, Any], text: str) -> "ModelVersion":
    """Add a version with a description; without one if the workspace refuses the text: its limit is not documented."""
    try:
        return models.add(name, {**properties, "description": text})
    except ReferenceRefused as error:
        logger.info("register: %s; registered without a description", error)
        return models.add(name, properties)


def mlflow_models_address(model: str) -> str:
    """Address of the output `mlflow_models`: in the datastore of the model, the default datastore of the job."""
    datastore = re.match(r"azureml://(?:.*/)?datastores/[^/]+(?=/paths/)", model)
    return f"{datastore[0]}/paths/{MLFLOW_MODELS_PATH.partition('/paths/')[2]}" if datastore else MLFLOW_MODELS_PATH


def _command_on_failure(
    models: "WorkspaceModels", name: str, model_type: str, address: str
) -> AbstractContextManager[None]:
    """Add the command that registers `address` as the next version of `name` to an error without one."""
    workspace = models.workspace
    scope = ["--resource-group", workspace.group, "--workspace-name", workspace.name]
    scope += ["--subscription", workspace.subscription]

    def arguments() -> list[str]:
        return ["--name", name, "--version", str(models.numbers.get(name, 1)), "--path", address, *scope]

    return command_on_failure(model_type, arguments)


def _register_reference(models: "WorkspaceModels", name: str, properties: Mapping[str, Any]) -> str | None:
    """A version of `name` that points at a registry asset; None when the workspace refuses it."""
    try:
        version = models.find(name, {"modelUri": properties["modelUri"]}, {}) or models.add(name, properties)
    except ReferenceRefused as error:
        logger.info("register: %s; the tag %s of the student names the baseline", error, BASELINE_TAG)
        return None
    return f"azureml:{name}:{version.number}"


def _properties(model_type: str, uri: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {"modelType": model_type, "modelUri": uri, "tags": dict(tags)}


class ReferenceRefused(AzdistillError):
    """The workspace rejected the content of a version (HTTP 400)."""


class ModelVersion(NamedTuple):
    """A version of a model in a workspace. `job` is the run that registered it, empty if it is not known."""

    number: int
    uri: str
    job: str


class WorkspaceModels:
    """Models of a workspace. Source: Model Versions in the REST reference of Azure ML, 2024-10-01.

    `numbers` has the next version of each model that was looked up.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.numbers: dict[str, int] = {}

    def find(self, name: str, properties: Mapping[str, str], tags: Mapping[str, str]) -> ModelVersion | None:
        """The newest version that is not archived and has these properties and tags."""
        versions = [
            ModelVersion(number, version["modelUri"], version.get("jobName") or "")
            for number, version in self._versions(name)
            if not version.get("isArchived")
            and properties.items() <= version.items()
            and tags.items() <= (version.get("tags") or {}).items()
        ]
        return max(versions, default=None)

    def add(self, name: str, properties: Mapping[str, Any]) -> ModelVersion:
        """Create the next version; when another job takes its number first, the one after it."""
        for _ in range(ATTEMPTS):
            number = self._next_number(name)
            reply = self._request("PUT", name, f"models/{name}/versions/{number}", {"properties": dict(properties)})
            if reply.status in (200, 201):
                return ModelVersion(number, properties["modelUri"], properties.get("jobName", ""))
            if self._next_number(name) == number:
                raise self._refused(name, reply)
        raise AzdistillError(
            f"other jobs took {ATTEMPTS} versions in a row", subject=self._subject(name), fix="run again"
        )

    def _next_number(self, name: str) -> int:
        """The number after the newest version, or the service's own next number, which counts deleted versions, too."""
        newest = max((number for number, _ in self._versions(name)), default=0)
        reply = self._request("GET", name, f"models/{name}")
        own = str(reply.content["properties"].get("nextVersion")) if reply.status == 200 else ""
        self.numbers[name] = max(newest + 1, int(own) if own.isdigit() else 1)
        return self.numbers[name]

    def _versions(self, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Number and properties, archived versions included. Versions with names that are no numbers are skipped."""
        query = {"listViewType": "All"}
        while query:
            reply = self._request("GET", name, f"models/{name}/versions", query=query)
            if reply.status == 404:
                return
            if reply.status != 200:
                raise self._refused(name, reply)
            for item in reply.content["value"]:
                if item["name"].isdigit():
                    yield int(item["name"]), item["properties"]
            query = dict(parse_qsl(urlsplit(reply.content.get("nextLink") or "").query))

    def _request(
        self, method: str, name: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> ArmResponse:
        return self.workspace.request(method, path, self._subject(name), body, query)

    def _subject(self, name: str) -> str:
        return f"model {name!r} of workspace {self.workspace.name!r}"

    def _refused(self, name: str, reply: ArmResponse) -> AzdistillError:
        error = ReferenceRefused if reply.status == 400 else AzdistillError
        return error(
            f"HTTP {reply.status}{': ' if reply.error else ''}{reply.error}",
            code=f"http_{reply.status}",
            subject=self._subject(name),
            fix=FIX_BY_STATUS.get(reply.status, "run again; check the workspace if it fails again"),
        )
