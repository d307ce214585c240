"""Autoscale settings of deployments, in Azure Monitor: azure-ai-ml has no methods for them."""

from typing import TYPE_CHECKING, Any

from azdistill.azure.arm import delete_resource, put_resource
from azdistill.azure.deployment.endpoint import FIXES
from azdistill.azure.deployment.files import Release, autoscale_document
from azdistill.azure.errors import translate_errors

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Source: https://learn.microsoft.com/rest/api/monitor/autoscale-settings
API_VERSION = "2022-10-01"


def set_autoscale(client: "MLClient", release: Release, endpoint: Any, color: str) -> None:
    """Create or replace the autoscale setting of a deployment. `endpoint` is an entity of the SDK."""
    body = autoscale_document(release, f"{endpoint.id}/deployments/{color}", endpoint.location)
    with translate_errors(f"autoscale setting of deployment {color!r}", FIXES):
        put_resource(client, _id(client, release, color), API_VERSION, body)


def remove_autoscale(client: "MLClient", release: Release, color: str) -> None:
    """Delete the autoscale setting of a deployment, if there is one."""
    with translate_errors(f"autoscale setting of deployment {color!r}", FIXES):
        delete_resource(client, _id(client, release, color), API_VERSION)


def _id(client: "MLClient", release: Release, color: str) -> str:
    group = f"/subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
    return f"{group}/providers/Microsoft.Insights/autoscaleSettings/{release.deployment.endpoint_name}-{color}"
