"""Check the data, models and published components of a bundle: in the workspace, or in a registry."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.datastores import DataSource, RegistrySource, check_path, parse_address, read_datastore
from azdistill.azure.checks.nodes import steps_that_read
from azdistill.azure.checks.result import CheckResult, failed, look_up, ok, unknown
from azdistill.azure.registry import missing_assets
from azdistill.azure.roles import workspace_options
from azdistill.azure.workspace import registry_client
from azdistill.engine.pipeline.types import is_unlikely
from azdistill.job.paths import FILES, is_remote

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

IN_WORKSPACE = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
IN_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>models|data)/(?P<name>[^/]+)/"
    r"(?P<by>versions|labels)/(?P<version>[^/]+)"
)

# Starts of the names of registries with models of the catalog, which everybody may read.
PUBLIC_REGISTRIES = ("azureml", "azure-openai", "HuggingFace")

# By kind of asset: the name of its operations in the SDK.
LIST_COMMANDS = {"models": "az ml model list", "data": "az ml data list"}

# Inputs of the pipeline of a job, and the fields of the job that set their types.
TYPE_FIELDS = {
    "student": "student.type",
    "baseline": "student.baseline_type",
    **{name: f"data.types.{name}" for name in FILES},
}


@dataclass(frozen=True)
class AssetInput:
    """A pipeline input that is no file of the bundle, declared with a type. `steps` read it."""

    name: str
    type: str
    address: str
    steps: frozenset[str]

    @property
    def checked(self) -> str:
        return f"inputs.{self.name} {self.address!r}"


def check_assets(
    client: "MLClient", document: Mapping[str, Any]
) -> Iterator[tuple[DataSource | RegistrySource | None, CheckResult]]:
    """For each pipeline input that is no file of the bundle: a result, and its datastore if it has one of the
    workspace, or its registry unless everybody may read that. `document` is the pipeline file.

    The files of a registered asset are not looked up. Whether the jobs can read a URL is not visible from here.
    """
    for port in _asset_inputs(document):
        if match := IN_WORKSPACE.fullmatch(port.address):
            yield _check_in_workspace(client, port, match)
        elif match := IN_REGISTRY.fullmatch(port.address):
            yield _check_in_registry(client, port, match)
        elif path := parse_address(client, port.address):
            yield _check_in_datastore(client, port, *path)
        else:
            yield None, unknown(port.checked, "not_checked", "it is not looked up", "check that it exists")


def _asset_inputs(document: Mapping[str, Any]) -> Iterator[AssetInput]:
    for name, port in document.get("inputs", {}).items():
        if isinstance(port, dict) and is_remote(address := str(port.get("path"))):
            yield AssetInput(name, str(port.get("type")), address, steps_that_read(document, name))


def _check_in_datastore(
    client: "MLClient", port: AssetInput, name: str, path: str
) -> tuple[DataSource | None, CheckResult]:
    datastore, problem = read_datastore(client, port.checked, name)
    if problem:
        return None, problem
    return DataSource(datastore, port.steps), check_path(client, port.checked, port.type, name, path)


def _check_in_workspace(
    client: "MLClient", port: AssetInput, match: re.Match[str]
) -> tuple[DataSource | None, CheckResult]:
    kind = "models" if port.type.endswith("_model") else "data"
    get = _getter(getattr(client, kind), match["name"], match["version"], by_label="@" in match[0])
    fix, command = "register it, or correct its name and version", _list_command(kind, workspace_options(client))
    asset, problem = look_up(port.checked, get, fix, command)
    if problem:
        return None, problem
    path = parse_address(client, str(asset.path))
    datastore, _ = read_datastore(client, port.checked, path[0]) if path else (None, None)
    return datastore and DataSource(datastore, port.steps), _check_type(port, asset)


def _check_type(port: AssetInput, asset: Any) -> CheckResult:
    """Check the declared type of an input against the type with which its asset is registered.

    A step that expects a file cannot read a folder. What Azure ML does with one type of model that is declared as
    another is not documented. Source:
    https://learn.microsoft.com/azure/machine-learning/how-to-manage-models and
    https://learn.microsoft.com/azure/machine-learning/how-to-manage-inputs-outputs-pipeline
    """
    if asset.type == port.type:
        return ok(f"inputs.{port.name}", f"{port.address}, {asset.type}")
    message = f"the input is declared as {port.type}, and the asset is registered as {asset.type}"
    field = TYPE_FIELDS.get(port.name)
    if is_unlikely(port.type, str(asset.type)):
        fix = f"set {field}: {asset.type}, or " if field and not port.type.endswith("_model") else ""
        return failed(port.checked, "type_mismatch", message, f"{fix}name an asset of type {port.type}")
    fix = f"set {field}: {asset.type}" if field else f"declare it as {asset.type}"
    return unknown(port.checked, "type_mismatch", f"{message}; whether Azure ML accepts that is not documented", fix)


def _check_in_registry(
    client: "MLClient", port: AssetInput, match: re.Match[str]
) -> tuple[RegistrySource | None, CheckResult]:
    registry, problem = _open_registry(client, port.checked, match["registry"])
    if problem:
        return None, problem
    return _registry_source(registry, match["registry"], port.steps), _check_version(registry, port, match)


def _registry_source(registry: "MLClient", name: str, steps: frozenset[str]) -> RegistrySource | None:
    """None for a registry that everybody may read."""
    if name.startswith(PUBLIC_REGISTRIES):
        return None
    group = f"/subscriptions/{registry.subscription_id}/resourceGroups/{registry.resource_group_name}"
    return RegistrySource(name, f"{group}/providers/Microsoft.MachineLearningServices/registries/{name}", steps)


def _check_version(registry: "MLClient", port: AssetInput, match: re.Match[str]) -> CheckResult:
    """A version that is missing is reported with the versions that the registry has."""
    checked, operations = port.checked, getattr(registry, match["kind"])
    get = _getter(operations, match["name"], match["version"], by_label=match["by"] == "labels")
    asset, problem = look_up(checked, get)
    if problem is None or problem.status != "problem":
        return problem or _check_type(port, asset)
    versions, _ = look_up(checked, lambda: [str(asset.version) for asset in operations.list(name=match["name"])])
    if versions:
        message = f"the registry does not have this version; it has {', '.join(versions)}"
        return failed(checked, "not_found", message, "use one of these versions")
    command = _list_command(match["kind"], f"--registry-name {shlex.quote(match['registry'])}")
    message, fix = "the registry has none of that name", "correct the name; the registry has"
    return failed(checked, "not_found", message, fix, command)


def _getter(operations: Any, name: str, version: str, *, by_label: bool) -> Callable[[], Any]:
    return lambda: operations.get(name=name, **{"label" if by_label else "version": version})


def _list_command(kind: str, options: str) -> str:
    return f"{LIST_COMMANDS[kind]} {options}"


def check_published(client: "MLClient", bundle: Path, registry: str) -> CheckResult:
    """Check that a registry has the components and environments of a bundle."""
    checked = f"registry {registry!r}"
    opened, problem = _open_registry(client, checked, registry)
    if problem:
        return problem
    missing, problem = look_up(checked, lambda: missing_assets(opened, bundle))
    if problem:
        return problem
    if not missing:
        return ok(checked, "it has all components and environments of the bundle")
    message = f"it does not have {', '.join(f'{asset.name} {asset.version}' for asset in missing)}"
    command = f"azdistill publish {shlex.quote(str(bundle))} --registry {shlex.quote(registry)}"
    return failed(checked, "not_published", message, "publish the bundle", command)


def _open_registry(client: "MLClient", checked: str, registry: str) -> tuple[Any, CheckResult | None]:
    """A client for the registry, or the result that there is no such registry."""
    fix, command = "correct the name; your registries are", "az ml registry list"
    return look_up(
        checked, lambda: registry_client(client, registry), fix, command, missing=f"there is no registry {registry!r}"
    )
