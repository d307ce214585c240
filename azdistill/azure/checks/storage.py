"""Check that the user may write to the workspace's default datastore."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, from_problem, look_up, ok, unknown
from azdistill.azure.errors import translate_errors
from azdistill.azure.nodes import text_of
from azdistill.azure.roles import BLOB_CONTRIBUTOR, assign_role_to_user, workspace_options
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

CHECKED = "default datastore"
# The blob that the check writes and removes.
PROBE = "azdistill/may-i-write"
# One retry after a second: by default the SDK retries for minutes.
RETRIES: dict[str, Any] = {"retry_total": 1, "initial_backoff": 1, "increment_base": 0, "random_jitter_range": 0}
# Error codes of the blob service that no role assignment helps against. Source: error codes of the blob service.
FIXES_BY_CODE = {
    "AuthorizationFailure": "the firewall of the account allows only some networks: submit from one of them",
    "KeyBasedAuthenticationNotPermitted": "the account accepts no keys: set the workspace's systemDatastoresAuthMode "
    "to identity",
}


def open_datastore(client: "MLClient") -> tuple[Any, CheckResult | None]:
    """The default datastore, or the result with the reason why it cannot be read."""
    return look_up(CHECKED, client.datastores.get_default, "see the workspace in the studio")


def open_named_datastore(client: "MLClient", document: Mapping[str, Any]) -> tuple[Any, CheckResult | None]:
    """The datastore that a pipeline file names for its outputs, or the result that says that there is none.

    Neither of both in a pipeline that uses the workspace's default.
    """
    name = str((document.get("settings") or {}).get("default_datastore") or "").removeprefix("azureml:")
    if not name:
        return None, None
    command = f"az ml datastore list {workspace_options(client)}"
    fix = "set compute.default_datastore to one of this list"
    return look_up(f"datastore {name!r}", lambda: client.datastores.get(name), fix, command)


def check_writing(client: "MLClient", workspace: Any, datastore: Any) -> CheckResult:
    """Write and remove an empty blob where the SDK uploads code, with the credential that the SDK would use: the key of
    the datastore, or the user's own identity where it has none."""
    target, problem = look_up(CHECKED, lambda: upload_target(client, datastore.name), "see the workspace in the studio")
    if problem:
        return problem
    access = "its own key" if isinstance(target["credential"], str) else "your own identity"
    account = account_scope(datastore.account_name, workspace.storage_account or "")
    try:
        with translate_errors(CHECKED):
            return _write_probe(client, f"{datastore.name}, with {access}", target, account)
    except AzdistillError as error:
        return from_problem(CHECKED, error.problems[0], "unknown")


def upload_target(client: "MLClient", datastore: str) -> dict[str, Any]:
    """Account URL, container and credential of the SDK's uploads."""
    from azure.ai.ml._artifacts._artifact_utilities import get_datastore_info

    target: dict[str, Any] = get_datastore_info(client.datastores, datastore)
    return target


def _write_probe(client: "MLClient", access: str, target: Mapping[str, Any], account: str) -> CheckResult:
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.storage.blob import BlobClient

    blob = BlobClient(
        target["account_url"], target["container_name"], PROBE, credential=target["credential"], **RETRIES
    )
    try:
        with blob:
            blob.upload_blob(b"", overwrite=True)
            blob.delete_blob()
    except HttpResponseError as error:
        if error.status_code not in (401, 403):
            return unknown(CHECKED, "write_failed", f"{access}: writing to it gave HTTP {error.status_code}")
        return _refused(client, access, text_of(getattr(error, "error_code", "")), account)
    except AzureError as error:
        fix = "submit from the network of the storage account, if it is private"
        return failed(CHECKED, "unreachable", f"{access}: it cannot be reached ({type(error).__name__})", fix)
    return ok(CHECKED, f"{access}, may be written to")


def _refused(client: "MLClient", access: str, code: str, account: str) -> CheckResult:
    if code in FIXES_BY_CODE:
        return failed(CHECKED, "storage_closed", f"{access}: it refuses this machine ({code})", FIXES_BY_CODE[code])
    command = assign_role_to_user(client, BLOB_CONTRIBUTOR, account)
    fix = f"you need the role '{BLOB_CONTRIBUTOR.name}', which takes effect minutes after it is assigned"
    return failed(CHECKED, "forbidden", f"{access}: you may not write to it ({code})", fix, command)


def account_scope(name: str, workspace_account: str) -> str:
    """Resource id of a storage account, for a shell. The workspace has only the id of its own account."""
    if workspace_account.endswith(f"/{name}"):
        return shlex.quote(workspace_account)
    return f'"$(az storage account show --name {shlex.quote(name)} --query id --output tsv)"'
