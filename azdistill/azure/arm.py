"""Read and write resources of Azure's resource manager for which azure-ai-ml has no method."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

NOT_FOUND = 404


def get_resource(client: "MLClient", resource_id: str, api_version: str, **query: str) -> dict[str, Any]:
    """The resource, with credential, cloud and transport of `client`. Raises HttpResponseError."""
    parameters = {"api-version": api_version, **{f"${name}": value for name, value in query.items()}}
    response = _send(client, "GET", resource_id, parameters)
    response.raise_for_status()
    body: dict[str, Any] = response.json()
    return body


def put_resource(client: "MLClient", resource_id: str, api_version: str, body: dict[str, Any]) -> None:
    """Create or replace a resource. Raises HttpResponseError."""
    _send(client, "PUT", resource_id, {"api-version": api_version}, body).raise_for_status()


def delete_resource(client: "MLClient", resource_id: str, api_version: str) -> None:
    """Delete a resource, if it exists. Raises HttpResponseError."""
    response = _send(client, "DELETE", resource_id, {"api-version": api_version})
    if response.status_code != NOT_FOUND:
        response.raise_for_status()


def _send(
    client: "MLClient", method: str, resource_id: str, parameters: dict[str, str], body: dict[str, Any] | None = None
) -> Any:
    from azure.core import PipelineClient
    from azure.core.pipeline.policies import BearerTokenCredentialPolicy, RetryPolicy
    from azure.core.rest import HttpRequest

    private: Any = client  # MLClient has no public attributes for these
    base_url = str(private._base_url).rstrip("/")
    policies = [RetryPolicy(), BearerTokenCredentialPolicy(private._credential, f"{base_url}/.default")]
    options = {name: value for name, value in private._kwargs.items() if name == "transport"}
    manager: Any = PipelineClient(base_url, policies=policies, **options)
    return manager.send_request(HttpRequest(method, f"{base_url}{resource_id}", params=parameters, json=body))
