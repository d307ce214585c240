"""Which workspace or registry, and the SDK's client in front of it."""

import contextlib
import gc
import io
import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from azdistill.azure.problems import REGISTRY_MOVES, asking
from azdistill.contracts.errors import InputError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

CONFIG = "config.json"
PLACES = (CONFIG, f".azureml/{CONFIG}")
FIELDS = {
    "subscription_id": "AZUREML_ARM_SUBSCRIPTION",
    "resource_group": "AZUREML_ARM_RESOURCEGROUP",
    "workspace_name": "AZUREML_ARM_WORKSPACE_NAME",
}
"""Fields of config.json, as the studio gives it for download, and the variables that Azure ML sets inside a job."""

QUIETLY: dict[str, Any] = {"enable_telemetry": False, "show_progress": False}
NOISY = ("azure.ai.ml", "azure.ai.ml._utils._experimental", "azure.identity", "azure.core", "msal")


@dataclass(frozen=True)
class WorkspaceAddress:
    """Where a workspace is; no secret."""

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
    """A registry, whose name is its own in all of Azure."""

    registry: str

    def __str__(self) -> str:
        return f"registry {self.registry!r}"


def find_address(
    config: Path | None = None, start: Path | None = None, environ: Mapping[str, str] = os.environ
) -> WorkspaceAddress:
    """The address in `config`, a file or a folder; without one, in config.json here or in a folder above, else in the
    variables of an Azure ML job. Raises InputError when there is none, or one that lacks a field."""
    path = _named(config) if config else _above((start or Path.cwd()).resolve())
    if path is None and all(environ.get(variable) for variable in FIELDS.values()):
        return WorkspaceAddress(**{field: environ[variable] for field, variable in FIELDS.items()})
    if path is None:
        raise InputError(
            f"workspace: no {CONFIG} here or in a folder above; download it from the studio (the workspace's name, top "
            f'right), or write {{"subscription_id": "...", "resource_group": "...", "workspace_name": "..."}}'
        )
    return _read(path)


def _named(config: Path) -> Path:
    found = [config] if config.is_file() else [config / place for place in PLACES if (config / place).is_file()]
    if not found:
        raise InputError(f"workspace: {str(config)!r} is no {CONFIG}, nor a folder with one; give the file")
    return found[0]


def _above(start: Path) -> Path | None:
    candidates = (folder / place for folder in (start, *start.parents) for place in PLACES)
    return next((path for path in candidates if path.is_file() and _is_ours(path)), None)


def _is_ours(path: Path) -> bool:
    """A student's folder has a config.json as well."""
    try:
        return "workspace_name" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _read(path: Path) -> WorkspaceAddress:
    try:
        values: Any = json.loads(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise InputError(
            f"workspace: {str(path)!r} can't be read ({problem}); download it again from the studio"
        ) from None
    missing = [field for field in FIELDS if not isinstance(values, dict) or not isinstance(values.get(field), str)]
    if missing:
        raise InputError(f"workspace: {str(path)!r} has no {', '.join(missing)}; download it again from the studio")
    return WorkspaceAddress(**{field: values[field] for field in FIELDS})


def require_sdk() -> None:
    """Import it, quietly. Raises InputError without the extra `azure`."""
    quiet()
    try:
        import azure.ai.ml
        import azure.identity  # noqa: F401
    except ImportError:
        raise InputError("azure: azure-ai-ml is not installed; pip install 'azdistill[azure]'") from None
    quiet()  # once more, as the import sets its loggers up


def connect(address: WorkspaceAddress | RegistryAddress, credential: Any = None, transport: Any = None) -> "MLClient":
    """A client; signed in as the environment is (`az login`, a service principal, a managed identity) where no
    credential is given. `transport` is azure-core's. Of a workspace nothing is asked yet, a registry is asked where it
    is. Raises InputError without the extra `azure`, and for a registry that doesn't open."""
    require_sdk()
    from azure.ai.ml import MLClient
    from azure.identity import DefaultAzureCredential

    login = credential or DefaultAzureCredential()
    options = {**QUIETLY, **({"transport": transport} if transport else {})}
    if isinstance(address, RegistryAddress):
        with asking(str(address), REGISTRY_MOVES):
            return MLClient(login, registry_name=address.registry, **options)
    return MLClient(login, address.subscription_id, address.resource_group, address.workspace_name, **options)


def beside(client: "MLClient", registry: str) -> "MLClient":
    """A client for a registry, with the login of `client` and by its way to Azure. Raises what the SDK raises."""
    from azure.ai.ml import MLClient

    asked: Any = client  # which keeps both, and has no public way to them
    way = {name: value for name, value in asked._kwargs.items() if name == "transport"}
    return MLClient(asked._credential, registry_name=registry, **way, **QUIETLY)


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """While the SDK uploads, it prints dots, empty lines and terminal codes; what it raises is heard."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def unhindered() -> Iterator[None]:
    """While the SDK builds what it sends, a second or two. The collector of cycles would look through the half million
    objects of its import again and again, for a tenth of that time, and the SDK would read the sources of the whole
    call stack for each warning that `quiet` keeps from being heard, for a twentieth."""
    warner: Any = sys.modules.get("azure.ai.ml._utils._experimental", SimpleNamespace())
    collects, skips = gc.isenabled(), getattr(warner, "_should_skip_warning", None)
    gc.disable()
    warner._should_skip_warning = lambda: True
    try:
        yield
    finally:
        warner._should_skip_warning = skips
        if collects:
            gc.enable()


def quiet() -> None:
    """Keep the SDK's talk about itself out of what people read."""
    warnings.filterwarnings("ignore", module=r"(azure|msrest|marshmallow)(\.|$)")
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
