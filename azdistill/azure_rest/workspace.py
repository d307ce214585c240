"""REST calls to an Azure ML workspace: that of the job in which this process runs, or that of a tracking URI.

They use azure-core alone, so that the image of a step does not need azure-ai-ml.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from azdistill.azure_rest.cloud import cloud_of
from azdistill.azure_rest.identity import BearerToken, Credential, HoldsSecret, get_token
from azdistill.contracts.errors import InputError
from azdistill.engine.job_variables import GROUP, SIMULATED_SUBSCRIPTION, SUBSCRIPTION, WORKSPACE
from azdistill.engine.redaction import quote

API_VERSION = "2024-10-01"

# The workspace in an MLflow tracking URI of Azure ML.
_TRACKING_URI = re.compile(
    rf"^azureml://.*/subscriptions/(?P<{SUBSCRIPTION}>[^/]+)/resourceGroups/(?P<{GROUP}>[^/]+)/providers/"
    rf"Microsoft\.MachineLearningServices/workspaces/(?P<{WORKSPACE}>[^/?]+)",
    re.IGNORECASE,
)


def has_workspace(environ: Mapping[str, str]) -> bool:
    """True if the environment names a workspace of Azure. That of every Azure ML job does."""
    named = all(environ.get(name) for name in (SUBSCRIPTION, GROUP, WORKSPACE))
    return named and environ[SUBSCRIPTION] != SIMULATED_SUBSCRIPTION


def workspace_of_tracking_uri(uri: str) -> dict[str, str]:
    """The variables that name the workspace of an MLflow tracking URI, empty for one that is no workspace."""
    match = _TRACKING_URI.match(uri)
    return match.groupdict() if match else {}


@dataclass(frozen=True)
class ArmResponse:
    """A response of Azure Resource Manager: the JSON of its body, or the error message in one line."""

    status: int
    content: Any
    error: str = ""


class Workspace(HoldsSecret):
    """REST client of the workspace that `environ` names, in its cloud.

    For tests, `management` replaces the cloud's address, and `transport` is one of azure-core.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        credential: Credential,
        management: str | None = None,
        transport: Any = None,
    ) -> None:
        self.name, self.group, self.subscription = environ[WORKSPACE], environ[GROUP], environ[SUBSCRIPTION]
        # requests does not read SSL_CERT_FILE, which applies to all other connections of a step.
        self.certificates: str | bool = environ.get("SSL_CERT_FILE") or True
        self.credential = credential
        self._transport = transport
        self._cloud = cloud_of(environ)
        self._management = management or self._cloud.management
        self._credential = _RememberedCredential(credential)
        self._url = (
            f"{self._management}/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    def request(
        self, method: str, path: str, subject: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> ArmResponse:
        """Send a request about `path` in the workspace, again while the service is busy or unavailable.

        Error statuses are returned. Raises InputError about `subject` without an identity or a connection to Azure.
        """
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        self._credential.subject = subject
        url = f"{self._url}/{path}?{urlencode({**(query or {}), 'api-version': API_VERSION})}"
        request = HttpRequest(method, url, json=body)
        # All requests are safe to repeat, also the POST of listsecrets.
        options = {
            "retry_on_methods": ["GET", "PUT", "POST"],
            "enforce_https": self._management == self._cloud.management,
        }
        try:
            response = self._client.send_request(request, **options)
            if response.status_code >= 300:
                return ArmResponse(response.status_code, None, self._error_of(response))
            return ArmResponse(response.status_code, response.json())
        except (AzureError, ValueError) as error:  # ValueError: a proxy answered with something that is not JSON
            raise InputError(
                f"{self._cloud.management} cannot be reached ({self._quote(error)})",
                code="unreachable",
                subject=subject,
                fix="open the network of the compute to it",
            ) from None

    @cached_property
    def _client(self) -> Any:
        """Without a redirect policy: a redirect would send the token to another host."""
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import BearerTokenCredentialPolicy
        from azure.core.pipeline.transport import RequestsTransport

        from azdistill.azure_rest.retry import BoundedRetryPolicy

        transport = self._transport or RequestsTransport(connection_verify=self.certificates)
        policies = [BoundedRetryPolicy(), BearerTokenCredentialPolicy(self._credential, self._cloud.scope)]
        return PipelineClient(self._management, policies=policies, transport=transport)

    def _error_of(self, response: Any) -> str:
        """The message of an error response. Source: ErrorResponse of Azure Resource Manager."""
        from azure.core.exceptions import HttpResponseError

        error = HttpResponseError(response=response).error
        return self._quote(error.message) if error and error.message else ""

    def _quote(self, text: object) -> str:
        return quote(str(text), self._credential.secrets)


class _RememberedCredential:
    """Keeps the last token, to remove it from quoted text, and `subject`, for the error when there is no token."""

    def __init__(self, credential: Credential) -> None:
        self._credential, self.subject = credential, ""
        self.secrets: list[str] = []

    def get_token(self, scope: str, /, **_: Any) -> BearerToken:
        token = get_token(self.subject, scope, lambda: self._credential)
        self.secrets = [token.token]
        return BearerToken(token.token, token.expires_on)
