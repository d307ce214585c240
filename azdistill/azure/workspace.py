"""Address of a workspace or registry, and the SDK's client for it."""

import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import REGISTRY_FIXES, translate_errors
from azdistill.azure_rest.cloud import AUTHORITY_VARIABLE, CLOUD_VARIABLE, Cloud, cloud_of
from azdistill.contracts.errors import InputError
from azdistill.engine.job_variables import GROUP, SUBSCRIPTION, WORKSPACE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

CONFIG = "config.json"
CONFIG_PATHS = (CONFIG, f".azureml/{CONFIG}")
# Fields of config.json, as the studio offers it for download, and the variables that Azure ML sets inside a job.
FIELDS = {
    "subscription_id": SUBSCRIPTION,
    "resource_group": GROUP,
    "workspace_name": WORKSPACE,
}
CLIENT_OPTIONS: dict[str, Any] = {"enable_telemetry": False, "show_progress": False}


@dataclass(frozen=True)
class WorkspaceAddress:
    """Address of a workspace. It holds no secret."""

    subscription_id: str
    resource_group: str
    workspace_name: str

    def __str__(self) -> str:
        return (
            f"workspace {self.workspace_name!r} in resource group {self.resource_group!r} "
            f"of subscription {self.subscription_id!r}"
        )


@dataclass(frozen=True)
class RegistryAddress:
    """Name of a registry, which is unique in all of Azure."""

    registry: str

    def __str__(self) -> str:
        return f"registry {self.registry!r}"


def find_address(
    config: Path | None = None, start: Path | None = None, environ: Mapping[str, str] = os.environ
) -> WorkspaceAddress:
    """Address of the workspace: from `config` (a file, or a folder with config.json), else from config.json in `start`
    or a folder above, else from the variables that Azure ML sets inside a job.

    Raises InputError when there is no address, or one without all fields.
    """
    path = _config_at(config) if config else _config_above((start or Path.cwd()).resolve())
    if path is None and all(environ.get(variable) for variable in FIELDS.values()):
        return WorkspaceAddress(**{field: environ[variable] for field, variable in FIELDS.items()})
    if path is None:
        raise InputError(
            f"no {CONFIG} of a workspace in this folder or one above",
            subject="workspace",
            code="no_workspace",
            fix="download it from the studio (click the workspace's name, top right), or write "
            '{"subscription_id": "...", "resource_group": "...", "workspace_name": "..."}',
        )
    return _read_address(path)


def _config_at(config: Path) -> Path:
    for path in (config, *(config / name for name in CONFIG_PATHS)):
        if path.is_file():
            return path
    raise InputError(
        f"neither {CONFIG} nor a folder with one",
        file=config,
        code="no_such_file",
        fix=f"give the path of {CONFIG}",
    )


def _config_above(start: Path) -> Path | None:
    candidates = (folder / name for folder in (start, *start.parents) for name in CONFIG_PATHS)
    return next((path for path in candidates if path.is_file() and _names_a_workspace(path)), None)


def _names_a_workspace(path: Path) -> bool:
    """Tells the file of a workspace from config.json in the folder of a model."""
    try:
        return "workspace_name" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _read_address(path: Path) -> WorkspaceAddress:
    fix = "download it again from the studio"
    try:
        values: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot be read ({error})", file=path, code="unreadable", fix=fix) from None
    missing = [field for field in FIELDS if not isinstance(values, dict) or not isinstance(values.get(field), str)]
    if missing:
        raise InputError(f"has no {', '.join(missing)}", file=path, code="missing_field", fix=fix)
    return WorkspaceAddress(**{field: values[field] for field in FIELDS})


def require_sdk() -> None:
    """Import azure-ai-ml and azure-identity. Raises InputError without the extra `azure`."""
    try:
        import azure.ai.ml
        import azure.identity  # noqa: F401
    except ImportError:
        raise InputError(
            "azure-ai-ml is not installed",
            subject="azure",
            code="not_installed",
            fix="install it",
            command="pip install 'azdistill[azure]'",
        ) from None


def cloud_of_client(client: "MLClient") -> Cloud:
    """The cloud that the SDK's client uses: that of AZUREML_CURRENT_CLOUD, else the public one."""
    workspace: Any = client  # MLClient has no public attribute for it
    return cloud_of({CLOUD_VARIABLE: workspace._cloud})


def connect(address: WorkspaceAddress | RegistryAddress, credential: Any = None, transport: Any = None) -> "MLClient":
    """The SDK's client for a workspace or registry.

    Without `credential`, DefaultAzureCredential signs in: `az login`, a service principal or a managed identity, in the
    cloud of AZUREML_CURRENT_CLOUD.
    `transport` is azure-core's. Nothing is sent to a workspace yet; a registry is asked for its location. Raises
    InputError without the extra `azure`, and for a registry that does not open.
    """
    require_sdk()
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    authority = os.environ.get(AUTHORITY_VARIABLE) or cloud_of(os.environ).authority
    credential = credential or DefaultAzureCredential(authority=authority)
    options = {**CLIENT_OPTIONS, **({"transport": transport} if transport else {})}
    if isinstance(address, RegistryAddress):
        with translate_errors(str(address), REGISTRY_FIXES):
            return MLClient(credential, registry_name=address.registry, **options)
    with translate_errors(str(address)):
        return MLClient(credential, address.subscription_id, address.resource_group, address.workspace_name, **options)


def registry_client(client: "MLClient", registry: str) -> "MLClient":
    """A client for a registry, with the credential and transport of `client`. Raises what the SDK raises."""
    from azure.ai.ml import MLClient

    workspace: Any = client  # MLClient has no public attributes for credential and transport
    options = {name: value for name, value in workspace._kwargs.items() if name == "transport"}
    return MLClient(workspace._credential, registry_name=registry, **options, **CLIENT_OPTIONS)


@contextlib.contextmanager
def fast_validation() -> Iterator[None]:
    """Save a seventh of the time in which the SDK builds and validates a job, a second or two.

    Pauses garbage collection, which would search the half million objects of the SDK's import again and again, and the
    SDK's search of the call stack before each warning about an experimental class. Both are restored at the end.
    """
    experimental: Any = sys.modules.get("azure.ai.ml._utils._experimental")
    should_skip_warning = getattr(experimental, "_should_skip_warning", None)
    gc_was_enabled = gc.isenabled()
    gc.disable()
    if should_skip_warning is not None:
        experimental._should_skip_warning = lambda: True
    try:
        yield
    finally:
        if should_skip_warning is not None:
            experimental._should_skip_warning = should_skip_warning
        if gc_was_enabled:
            gc.enable()


@contextlib.contextmanager
def fewer_requests(client: "MLClient") -> Iterator[None]:
    """Send a third fewer requests while a job is submitted.

    The SDK registers the environment of every node, and asks for the datastore and its secrets for every upload. Equal
    calls within the block are sent once.
    """
    operations: Any = client
    with (
        _remembered(operations.environments, "create_or_update", lambda asset: (asset.name, asset.version)),
        _remembered(operations.datastores, "get", lambda name: name),
        _remembered(operations.datastores, "_list_secrets", lambda name, **_: name),
    ):
        yield


@contextlib.contextmanager
def _remembered(operations: Any, method: str, key_of: Callable[..., Any]) -> Iterator[None]:
    """Call a method of this object once for each key, and return the first result again."""
    call, results = getattr(operations, method), dict[Any, Any]()

    def remembered(*args: Any, **kwargs: Any) -> Any:
        key = key_of(*args, **kwargs)
        if key not in results:
            results[key] = call(*args, **kwargs)
        return results[key]

    setattr(operations, method, remembered)
    try:
        yield
    finally:
        delattr(operations, method)
