"""Download registered models of a workspace or registry, each version once."""

import contextlib
import hashlib
import re
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.download_limit import limited_download
from azdistill.azure.errors import WORKSPACE_FIXES, Fixes, translate_errors
from azdistill.azure.roles import workspace_options
from azdistill.azure.workspace import registry_client
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.layout import MODEL_CARD_FILE, REGISTRATION_OUTPUT
from azdistill.engine.local.assets import LATEST, parse_asset
from azdistill.engine.problems import ProblemFields

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Written last: a folder that has it is complete.
COMPLETE_MARKER = ".complete"

# Code of an error that the SDK raises itself, here for a label of a model without versions.
SDK_REFUSED = "refused_by_sdk"

_IN_REGISTRY = re.compile(r"azureml:/{1,2}registries/([^/]+)/")


@dataclass(frozen=True)
class RegisteredModel:
    """A version of a registered model. `registry` is None for a model of the workspace.

    `job` is the name of the job that registered it, empty where it is not known.
    """

    name: str
    version: str
    registry: str | None = None
    description: str = ""
    tags: dict[str, str] | None = None
    job: str = ""

    def __str__(self) -> str:
        return f"model {f'{self.name}:{self.version}'!r}"


def find_model(client: "MLClient", address: str) -> RegisteredModel:
    """Look a model up by `NAME`, `NAME:VERSION`, `NAME@latest` or an azureml address; without a version, the latest.

    Raises InputError for another address and for a model that does not exist.
    """
    asset = parse_asset(address if address.startswith("azureml:") else f"azureml:{address}")
    if asset is None:
        raise InputError(
            "not the address of a model",
            field=("model",),
            value=address,
            code="wrong_format",
            fix="write NAME, NAME:VERSION or azureml://registries/REGISTRY/models/NAME/versions/VERSION",
        )
    match = _IN_REGISTRY.match(address)
    registry = match[1] if match else None
    subject, fixes = f"model {address!r}", _fixes(client, registry)
    try:
        with translate_errors(subject, fixes):
            models = _client_of(client, registry).models
            version: Any = (
                models.get(asset.name, version=asset.version)
                if asset.version
                else models.get(asset.name, label=asset.label or LATEST)
            )
    except InputError as error:
        if error.problems[0].code != SDK_REFUSED:
            raise
        fields: ProblemFields = {**fixes[404], "subject": subject}
        raise InputError(error.problems[0].message, **fields) from None
    if registry is None and _IN_REGISTRY.match(version.path or ""):  # the baseline of a student refers to its registry
        return find_model(client, version.path)
    return RegisteredModel(
        asset.name,
        str(version.version),
        registry,
        version.description or "",
        dict(version.tags or {}),
        getattr(version, "job_name", None) or "",
    )


def download_model(client: "MLClient", model: RegisteredModel, folder: Path) -> Path:
    """Download the files of a version into `folder`, unless it holds them completely."""
    if not (folder / COMPLETE_MARKER).is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with limited_download(folder), translate_errors(str(model), _fixes(client, model.registry)):
            _client_of(client, model.registry).models.download(model.name, model.version, download_path=folder)
        (folder / COMPLETE_MARKER).touch()
    return folder


def cache_folder(client: "MLClient", model: RegisteredModel, home: Path) -> Path:
    """Folder of a version below the home folder. Versions of other workspaces have other folders."""
    source = f"{client.subscription_id}/{client.resource_group_name}/{client.workspace_name}"
    digest = hashlib.sha256((model.registry or source).encode()).hexdigest()[:16]
    return home / "models" / digest / model.name / model.version


def _fixes(client: "MLClient", registry: str | None) -> Fixes:
    """Fixes with the command that lists the models of the workspace, or of a registry."""
    place, options = "the workspace", workspace_options(client)
    if registry:
        place, options = f"registry {registry!r}", f"--registry-name {shlex.quote(registry)}"
    command = f"az ml model list {options}"
    return {**WORKSPACE_FIXES, 404: {"code": "not_found", "fix": f"list the models of {place}", "command": command}}


def _client_of(client: "MLClient", registry: str | None) -> "MLClient":
    return registry_client(client, registry) if registry else client


def download_with_card(client: "MLClient", model: RegisteredModel, folder: Path) -> Path | None:
    """Download a model into `folder`, and the card of a student of azdistill next to its config.json.

    Returns the path of the card: that of the model's own files, or else that of the job that registered it. None
    where neither has one, such as for a model that azdistill has not registered.
    """
    download_model(client, model, folder)
    if card := next(folder.rglob(MODEL_CARD_FILE), None):
        return card
    if not model.job:
        return None
    with tempfile.TemporaryDirectory() as temporary:
        with contextlib.suppress(AzdistillError), translate_errors(f"job {model.job!r}"):
            client.jobs.download(model.job, download_path=temporary, output_name=REGISTRATION_OUTPUT)
        source = next(Path(temporary).rglob(MODEL_CARD_FILE), None)
        if source is None:
            return None
        config = next(folder.rglob("config.json"), None)
        return Path(shutil.copy(source, config.parent if config else folder))
