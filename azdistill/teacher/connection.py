"""A workspace connection, by name: the endpoint and the key that an Azure ML workspace keeps for its jobs.

One REST call, so that the image of the step needs no azure-ai-ml.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from azdistill.contracts.errors import InputError
from azdistill.teacher.auth import REQUEST_TIMEOUT_S, Credential, EntraToken

MANAGEMENT = "https://management.azure.com"
API_VERSION = "2024-10-01"
ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"
SUBSCRIPTION, GROUP, WORKSPACE = "AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME"

WHAT_TO_DO = {
    401: "the identity of this job was refused; run the job in the workspace's own tenant",
    403: f"the identity of this job may not read it; give it the role {ROLE!r} on the workspace",
    404: "the workspace has no such connection; `az ml connection list` names those there are",
}


@dataclass(frozen=True)
class Connection:
    """What a connection holds. Without a key it wants an Entra token."""

    endpoint: str
    key: str | None = field(repr=False)


def is_readable(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a workspace, as that of every Azure ML job does."""
    return all(environ.get(name) for name in (SUBSCRIPTION, GROUP, WORKSPACE))


def read_connection(
    name: str, environ: Mapping[str, str], credential: Credential, management: str = MANAGEMENT
) -> Connection:
    """Endpoint and key of connection `name`. Raises InputError: no identity, no role, no connection."""
    owner = f"connection {name!r} of workspace {environ[WORKSPACE]!r}"
    token = EntraToken(owner, f"{MANAGEMENT}/.default", lambda: credential)
    status, content = _post(_address(name, environ, management), token.headers(), owner)
    if status != 200:
        advice = WHAT_TO_DO.get(status, "run again, and look at the workspace if it stays so")
        raise InputError(f"{owner}: {advice} (HTTP {status})")
    return _connection(content, owner)


def _address(name: str, environ: Mapping[str, str], management: str) -> str:
    return (
        f"{management}/subscriptions/{environ[SUBSCRIPTION]}/resourceGroups/{environ[GROUP]}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{environ[WORKSPACE]}"
        f"/connections/{name}/listsecrets?api-version={API_VERSION}"
    )


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(url: str, headers: Mapping[str, str], owner: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, b"", {**headers, "Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.build_opener(_StayHere).open(request, timeout=REQUEST_TIMEOUT_S) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, None
    except (OSError, ValueError) as problem:  # a body that is no JSON comes from a proxy in between
        raise InputError(
            f"{owner}: {MANAGEMENT} can't be asked ({problem}); open the network of the compute to it"
        ) from None


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
