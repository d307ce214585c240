"""Read resources of Azure's resource manager for which azure-ai-ml has no method."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def get_resource(client: "MLClient", resource_id: str, api_version: str, **query: str) -> dict[str, Any]:
    """The resource, with credential, cloud and transport of `client`. Raises HttpResponseError."""
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.rest import HttpRequest

    private: Any = client  # MLClient has no public attributes for these
    base_url = str(private._base_url).rstrip("/")
    policies = [RetryPolicy(), BearerTokenCredentialPolicy(private._credential, f"{base_url}/.default")]
    options = {name: value for name, value in private._kwargs.items() if name == "transport"}
    manager: Any = PipelineClient(base_url, policies=policies, **options)
    parameters = {"api-version": api_version, **{f"${name}": value for name, value in query.items()}}
    response = manager.send_request(HttpRequest("GET", f"{base_url}{resource_id}", params=parameters))
    response.raise_for_status()
    body: dict[str, Any] = response.json()
    return body
