"""Check the files that a job reads from datastores of the workspace."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, look_up, ok, unknown
from azdistill.azure.checks.storage import RETRIES, upload_target
from azdistill.azure.roles import workspace_options
from azdistill.engine.pipeline.types import is_unlikely

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# A path in a datastore: as a job file has it, or with the workspace, as the service returns it for an asset.
_ADDRESS = re.compile(
    r"azureml://(subscriptions/[^/]+/resourcegroups/[^/]+/(providers/Microsoft\.MachineLearningServices/)?"
    r"workspaces/(?P<workspace>[^/]+)/)?datastores/(?P<datastore>[^/]+)/paths/(?P<path>.+)",
    re.IGNORECASE,
)
# Characters of patterns and of encoded names.
_SPECIAL = frozenset("*?%")
FIX = "check that it exists"


@dataclass(frozen=True)
class DataSource:
    """A datastore of the workspace that `steps` read inputs from."""

    datastore: Any
    steps: frozenset[str]


@dataclass(frozen=True)
class RegistrySource:
    """A registry of Azure ML that `steps` read models or data from. `id` is its resource id."""

    name: str
    id: str
    steps: frozenset[str]


def parse_address(client: "MLClient", address: str) -> tuple[str, str] | None:
    """Datastore and path of an address in a datastore of this workspace. None for any other address."""
    match = _ADDRESS.fullmatch(address)
    if match is None or match["workspace"] not in (None, client.workspace_name):
        return None
    return match["datastore"], match["path"]


def read_datastore(client: "MLClient", checked: str, name: str) -> tuple[Any, CheckResult | None]:
    """A datastore of the workspace, or the result that it has none of that name."""
    fix, command = "name one of this list", f"az ml datastore list {workspace_options(client)}"
    missing = f"the workspace has no datastore {name!r}"
    return look_up(checked, lambda: client.datastores.get(name), fix, command, missing=missing)


def check_path(client: "MLClient", checked: str, type: str, datastore: str, path: str) -> CheckResult:
    """Check that a path of a blob container exists, and is a file or folder as the `type` of its input requires.

    It is read with the credential that the SDK would use, as in `check_writing`: the jobs may have other rights.
    """
    from azure.core.exceptions import AzureError

    target, problem = look_up(checked, lambda: upload_target(client, datastore), FIX)
    if problem or target["storage_type"] != "AzureBlob" or _SPECIAL & set(path):
        return problem or unknown(checked, "not_checked", "it is not looked up", FIX)
    try:
        actual = _type_of(target, path)
    except AzureError as error:
        reason = str(getattr(error, "error_code", None) or error.__class__.__name__)
        return unknown(checked, "not_checked", f"you cannot read it from here ({reason})", FIX)
    if actual is None:
        message = f"datastore {datastore!r} has no file or folder of this path"
        return failed(checked, "not_found", message, "correct the path, or upload it")
    if is_unlikely(type, actual):
        is_folder = actual == "uri_folder"
        message = f"the input is declared as {type}, and the path is a {'folder' if is_folder else 'file'}"
        return failed(checked, "type_mismatch", message, f"write it {'with' if is_folder else 'without'} a final '/'")
    return ok(checked, "it exists")


def _type_of(target: Mapping[str, Any], path: str) -> str | None:
    """Type of a path in a container, None if it has no blob of this path. Raises what the SDK raises."""
    from azure.storage.blob import ContainerClient

    name = path.rstrip("/")
    with ContainerClient(
        target["account_url"], target["container_name"], credential=target["credential"], **RETRIES
    ) as container:
        if any(True for _ in container.list_blob_names(name_starts_with=f"{name}/", results_per_page=1)):
            return "uri_folder"
        return "uri_file" if container.get_blob_client(name).exists() else None
