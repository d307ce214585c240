"""Create a batch endpoint and its deployments. A deployment costs nothing while no job runs, so earlier ones stay."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.deployment.batch_files import DEPLOYMENT_FILE, BatchRelease
from azdistill.azure.deployment.endpoint import FIXES, SUCCEEDED, wait
from azdistill.azure.deployment.files import ENDPOINT_FILE
from azdistill.azure.errors import translate_errors
from azdistill.azure.nodes import text_of
from azdistill.azure.workspace import fast_validation
from azdistill.contracts.layout import PIPELINE_FILE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def deploy_batch(client: "MLClient", release: BatchRelease, folder: Path) -> Iterator[str]:
    """Deploy a batch release whose files are in `folder`, as the default of its endpoint.

    Yields a line for each thing that was done. Raises OperationFailed when Azure reports a failure, AzdistillError for
    other failures.
    """
    name, subject = release.deployment_name, f"batch endpoint {release.endpoint_name!r}"
    with translate_errors(subject, FIXES):
        endpoint = _endpoint(client, release, folder)
    if getattr(endpoint.defaults, "deployment_name", None) == name:
        yield f"{subject}: {release.model} is the default already, nothing done"
        return
    with translate_errors(f"deployment {name!r}", FIXES), fast_validation():
        if _is_ready(client, release):
            yield f"deployment {name}: exists"
        else:
            yield f"deployment {name}: creating"
            _create_deployment(client, folder)
    endpoint.defaults = {"deployment_name": name}
    with translate_errors(subject, FIXES):
        wait(client.batch_endpoints.begin_create_or_update(endpoint), subject)
    yield f"{subject}: answers with {release.model}, by deployment {name}"


def _endpoint(client: "MLClient", release: BatchRelease, folder: Path) -> Any:
    """The endpoint, which is created if the workspace has none of this name."""
    from azure.ai.ml import load_batch_endpoint
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return client.batch_endpoints.get(release.endpoint_name)
    except ResourceNotFoundError:
        entity = load_batch_endpoint(folder / ENDPOINT_FILE)
        wait(client.batch_endpoints.begin_create_or_update(entity), f"batch endpoint {release.endpoint_name!r}")
        return client.batch_endpoints.get(release.endpoint_name)


def _is_ready(client: "MLClient", release: BatchRelease) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        deployment = client.batch_deployments.get(release.deployment_name, release.endpoint_name)
    except ResourceNotFoundError:
        return False
    return text_of(deployment.provisioning_state) == SUCCEEDED


def _create_deployment(client: "MLClient", folder: Path) -> None:
    """Register the pipeline component with its code and environments, and create the deployment of it."""
    from azure.ai.ml import load_component
    from azure.ai.ml.entities._load_functions import load_pipeline_component_batch_deployment  # for `az ml`, not public

    client.components.create_or_update(load_component(folder / PIPELINE_FILE))
    deployment = load_pipeline_component_batch_deployment(folder / DEPLOYMENT_FILE)
    wait(client.batch_deployments.begin_create_or_update(deployment), f"deployment {deployment.name!r}")
