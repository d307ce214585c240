"""A workspace connection, by name: the endpoint and the key that an Azure ML workspace keeps for its jobs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azdistill.azure_rest.identity import Credential, HoldsSecret
from azdistill.azure_rest.workspace import MANAGEMENT, Workspace
from azdistill.contracts.errors import InputError

ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"

WHAT_TO_DO = {
    401: "the identity of this job was refused; run the job in the workspace's own tenant",
    403: f"the identity of this job may not read it; give it the role {ROLE!r} on the workspace",
    404: "the workspace has no such connection; `az ml connection list` names those there are",
}


@dataclass(frozen=True)
class Connection(HoldsSecret):
    """What a connection holds. Without a key it wants an Entra token."""

    endpoint: str
    key: str | None = field(repr=False)


def read_connection(
    name: str, environ: Mapping[str, str], credential: Credential, management: str = MANAGEMENT
) -> Connection:
    """Endpoint and key of connection `name`. Raises InputError: no identity, no role, no connection."""
    workspace = Workspace(environ, credential, management)
    owner = f"connection {name!r} of workspace {workspace.name!r}"
    reply = workspace.ask("POST", f"connections/{name}/listsecrets", owner)
    if reply.status != 200:
        advice = WHAT_TO_DO.get(reply.status, "run again, and look at the workspace if it stays so")
        raise InputError(f"{owner}: {advice} (HTTP {reply.status})")
    return _connection(reply.content, owner)


def _connection(content: Any, owner: str) -> Connection:
    """Source: WorkspaceConnectionPropertiesV2; custom keys have names of the user's own."""
    properties = content.get("properties") if isinstance(content, dict) else None
    properties = properties if isinstance(properties, dict) else {}
    if not (target := properties.get("target")):
        raise InputError(f"{owner}: it has no target; create it again with the endpoint's address")
    credentials = properties.get("credentials") or {}
    keys = [credentials.get("key"), *(credentials.get("keys") or {}).values()]
    found = [key for key in keys if key]
    if len(found) > 1:
        raise InputError(f"{owner}: it has {len(found)} keys; create it again with one, as type api_key")
    return Connection(str(target), str(found[0]) if found else None)
