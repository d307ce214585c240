"""Whether one may write to the default datastore."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import WRITER, grant_caller
from azdistill.azure.checks.check import Check, looked_up
from azdistill.azure.submission import status_word

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

PROBE = "azdistill/may-i-write"
"""The blob that is written and removed to see whether one may."""
ONCE_MORE: dict[str, Any] = {"retry_total": 1, "initial_backoff": 1, "increment_base": 0, "random_jitter_range": 0}
"""How often a probe is tried again, and after how many seconds; the SDK's own patience takes minutes."""
CLOSED = {
    "AuthorizationFailure": "its firewall lets in some networks only: submit from one of these",
    "KeyBasedAuthenticationNotPermitted": "it takes no keys: set the workspace's systemDatastoresAuthMode to identity",
}
"""Refusals that no role helps against."""


def check_writing(client: "MLClient", workspace: Any) -> Check:
    """Whether the one who submits may write where the code goes, tried by the SDK's own way to it: an empty blob is
    written and removed. A key of the store opens it, or one's own role where it has none."""
    what = "default datastore"
    store, problem = looked_up(what, client.datastores.get_default, "see the workspace")
    if problem:
        return problem
    way, problem = looked_up(what, lambda: _way_to(client, store.name), "see the workspace")
    if problem:
        return problem
    told = f"{store.name}, {'by its own key' if isinstance(way['credential'], str) else 'with your own identity'}"
    account = _account_scope(store.account_name, workspace.storage_account or "")
    return _try_writing(client, what, told, way, account)


def _way_to(client: "MLClient", store: str) -> dict[str, Any]:
    """Address, container and credential by which the SDK uploads."""
    from azure.ai.ml._artifacts._artifact_utilities import get_datastore_info

    way: dict[str, Any] = get_datastore_info(client.datastores, store)
    return way


def _try_writing(client: "MLClient", what: str, told: str, way: Mapping[str, Any], account: str) -> Check:
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.storage.blob import BlobClient

    place = way["account_url"], way["container_name"], PROBE
    probe = BlobClient(*place, credential=way["credential"], **ONCE_MORE)
    try:
        with probe:
            probe.upload_blob(b"", overwrite=True)
            probe.delete_blob()
    except HttpResponseError as problem:
        if problem.status_code not in (401, 403):
            return Check(what, "unknown", f"{told}: HTTP {problem.status_code} when written to")
        return _refused(client, what, told, status_word(getattr(problem, "error_code", "")), account)
    except AzureError as problem:
        move = "where the storage is private, submit from its network"
        return Check(what, "wrong", f"{told}: it can't be reached ({type(problem).__name__})", move)
    return Check(what, "ok", f"{told}, may be written to")


def _refused(client: "MLClient", what: str, told: str, code: str, account: str) -> Check:
    """Source: error codes of the blob service. A role that was just given takes minutes to count."""
    if code in CLOSED:
        return Check(what, "wrong", f"{told}: it refuses this machine ({code})", CLOSED[code])
    command = grant_caller(client, WRITER, account)
    return Check(what, "wrong", f"{told}: it may not be written to ({code})", f"it needs the role '{WRITER}'", command)


def _account_scope(name: str, workspace_account: str) -> str:
    """The address of a storage account: the workspace's own is known, another one is asked for."""
    if workspace_account.endswith(f"/{name}"):
        return shlex.quote(workspace_account)
    return f'"$(az storage account show --name {shlex.quote(name)} --query id --output tsv)"'
