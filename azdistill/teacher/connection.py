"""Read endpoint and key of a teacher from a connection of the Azure ML workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azdistill.azure_rest.identity import Credential, HoldsSecret
from azdistill.azure_rest.workspace import MANAGEMENT, Workspace
from azdistill.contracts.errors import InputError

ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"

# Error message and fix for each HTTP status.
ERRORS = {
    401: ("Azure rejected the identity of this job", "run the job in the tenant of the workspace"),
    403: ("the identity of this job may not read it", f"give it the role {ROLE!r} on the workspace"),
    404: ("the workspace has no such connection", "`az ml connection list` shows its connections"),
}
OTHER_ERROR = ("Azure could not return it", "run again, and check the workspace if the error stays")


@dataclass(frozen=True)
class Connection(HoldsSecret):
    """Endpoint and key of a workspace connection. `key` is None if the endpoint requires an Entra token."""

    endpoint: str
    key: str | None = field(repr=False)


def read_connection(
    name: str, environ: Mapping[str, str], credential: Credential, management: str = MANAGEMENT
) -> Connection:
    """Read connection `name`. Raises InputError: no identity, no role, no such connection, not exactly one key."""
    workspace = Workspace(environ, credential, management)
    subject = f"connection {name!r} of workspace {workspace.name!r}"
    response = workspace.request("POST", f"connections/{name}/listsecrets", subject)
    if response.status != 200:
        message, fix = ERRORS.get(response.status, OTHER_ERROR)
        raise InputError(f"{message} (HTTP {response.status})", code="no_connection", subject=subject, fix=fix)
    return _parse_connection(response.content, subject)


def _parse_connection(content: Any, subject: str) -> Connection:
    """Source: WorkspaceConnectionPropertiesV2. Users choose the names of custom keys."""
    properties = content.get("properties") if isinstance(content, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    if not (target := properties.get("target")):
        raise InputError(
            "it has no target",
            code="invalid_connection",
            subject=subject,
            fix="create it again with the URL of the endpoint",
        )
    credentials = properties.get("credentials") or {}
    keys = [key for key in (credentials.get("key"), *(credentials.get("keys") or {}).values()) if key]
    if len(keys) > 1:
        raise InputError(
            f"it has {len(keys)} keys, but a teacher needs one",
            code="invalid_connection",
            subject=subject,
            fix="create it again with one key, as type api_key",
        )
    return Connection(str(target), str(keys[0]) if keys else None)
