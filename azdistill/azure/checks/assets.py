"""Check the data, models and published components of a bundle: in the workspace, or in a registry."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, look_up, ok
from azdistill.azure.registry import missing_assets
from azdistill.azure.roles import workspace_options
from azdistill.azure.workspace import registry_client

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

IN_WORKSPACE = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
IN_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>models|data)/(?P<name>[^/]+)/"
    r"(?P<by>versions|labels)/(?P<version>[^/]+)"
)


def check_assets(client: "MLClient", document: Mapping[str, Any]) -> Iterator[CheckResult]:
    """One result for each pipeline input that is a registered asset. `document` is the pipeline file."""
    for name, port in document.get("inputs", {}).items():
        path = str(port.get("path")) if isinstance(port, dict) else ""
        if match := IN_WORKSPACE.fullmatch(path):
            kind = "models" if str(port["type"]).endswith("_model") else "data"
            yield _check_in_workspace(client, f"inputs.{name}", kind, match)
        elif match := IN_REGISTRY.fullmatch(path):
            yield _check_in_registry(client, f"inputs.{name}", match)


def _check_in_workspace(client: "MLClient", input_name: str, kind: str, match: re.Match[str]) -> CheckResult:
    get = _getter(getattr(client, kind), match["name"], match["version"], by_label="@" in match[0])
    fix, command = "register it, or correct its name and version", _list_command(kind, workspace_options(client))
    _, problem = look_up(f"{input_name} {match[0]!r}", get, fix, command)
    return problem or ok(input_name, match[0])


def _check_in_registry(client: "MLClient", input_name: str, match: re.Match[str]) -> CheckResult:
    """A version that is missing is reported with the versions that the registry has."""
    checked = f"{input_name} {match[0]!r}"
    registry, problem = _open_registry(client, checked, match["registry"])
    if problem:
        return problem
    operations = getattr(registry, match["kind"])
    get = _getter(operations, match["name"], match["version"], by_label=match["by"] == "labels")
    _, problem = look_up(checked, get)
    if problem is None or problem.status != "problem":
        return problem or ok(input_name, match[0])
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
    return f"az ml {kind.removesuffix('s')} list {options}"


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
