"""The workspace that a job runs in, at Azure's resource manager.

Plain REST with the identity of the job, so that the image of a step needs no azure-ai-ml.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from azdistill.azure_rest.identity import LONGEST_DETAIL, REQUEST_TIMEOUT_S, Credential, new_token
from azdistill.contracts.errors import InputError

MANAGEMENT = "https://management.azure.com"
API_VERSION = "2024-10-01"
SUBSCRIPTION, GROUP, WORKSPACE = "AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME"

PASSING = frozenset({408, 429, 500, 502, 503, 504})
TRIES = 4
LONGEST_WAIT_S = 60.0


def has_workspace(environ: Mapping[str, str]) -> bool:
    """Whether the environment names a workspace, as that of every Azure ML job does."""
    return all(environ.get(name) for name in (SUBSCRIPTION, GROUP, WORKSPACE))


@dataclass(frozen=True)
class Reply:
    """`content` is the JSON of the body; `reason` is what the service says about a refusal, in one line."""

    status: int
    content: Any
    reason: str = ""


class Workspace:
    """The workspace that `environ` names, asked as who `credential` is. `wait` sleeps for seconds between tries."""

    def __init__(
        self,
        environ: Mapping[str, str],
        credential: Credential,
        management: str = MANAGEMENT,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = environ[WORKSPACE]
        self._credential, self._wait = credential, wait
        self._address = (
            f"{management}/subscriptions/{environ[SUBSCRIPTION]}/resourceGroups/{environ[GROUP]}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    def ask(
        self, method: str, path: str, owner: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> Reply:
        """The reply about `path` below the workspace, after a few tries where the service is busy or down.

        Raises InputError, which names `owner`, without an identity or a way to Azure. Any refusal is a reply.
        """
        token = new_token(owner, f"{MANAGEMENT}/.default", lambda: self._credential).token
        url = f"{self._address}/{path}?{urlencode({**(query or {}), 'api-version': API_VERSION})}"
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, None if method == "GET" else content, headers, method=method)
        for pause in (2.0**attempt for attempt in range(TRIES - 1)):
            reply, asked_pause = _send(request, owner, token)
            if reply.status not in PASSING:
                return reply
            self._wait(min(pause if asked_pause is None else asked_pause, LONGEST_WAIT_S))
        return _send(request, owner, token)[0]


class _StayHere(urllib.request.HTTPRedirectHandler):
    """A redirect would take the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _send(request: urllib.request.Request, owner: str, token: str) -> tuple[Reply, float | None]:
    """The reply, and how many seconds a busy service wants to be left alone."""
    try:
        with urllib.request.build_opener(_StayHere).open(request, timeout=REQUEST_TIMEOUT_S) as response:
            return Reply(response.status, json.load(response)), None
    except urllib.error.HTTPError as refused:
        with refused:
            said = refused.read().decode(errors="replace").replace(token, "[token]")
        return Reply(refused.code, None, _reason(said)), _seconds(refused.headers.get("Retry-After"))
    except (OSError, ValueError) as problem:  # a body that is no JSON comes from a proxy in between
        raise InputError(
            f"{owner}: {MANAGEMENT} can't be asked ({problem}); open the network of the compute to it"
        ) from None


def _reason(said: str) -> str:
    """The message of an ARM error. Source: ErrorDetail of the resource manager."""
    try:
        message = json.loads(said)["error"]["message"]
    except (ValueError, LookupError, TypeError):
        return ""
    return " ".join(str(message).split())[:LONGEST_DETAIL]


def _seconds(retry_after: str | None) -> float | None:
    """A date, the other form, is left to our own pace."""
    return float(retry_after) if retry_after and retry_after.isdigit() else None
