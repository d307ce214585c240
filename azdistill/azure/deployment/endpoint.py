"""A managed online endpoint and its deployments, by the SDK's client. Each change waits until it has ended."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.deployment.files import CONTENT_TAG
from azdistill.azure.errors import WORKSPACE_FIXES, Fixes, in_one_line, translate_errors
from azdistill.azure.nodes import text_of
from azdistill.azure.roles import workspace_options
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SUCCEEDED, FAILED = "Succeeded", "Failed"
# Provisioning states of an operation that has ended. Others, such as Updating, are in progress.
ENDED = frozenset({SUCCEEDED, FAILED, "Canceled"})
# Time after which an operation is given up: the first build of an image and the start of a VM take up to an hour.
MAX_WAIT_S = 2 * 3600
LOG_LINES = 100
# Containers of a deployment: the server, and the one that downloads model and code before it starts.
CONTAINERS = ("inference-server", "storage-initializer")

FIXES: Fixes = {
    **WORKSPACE_FIXES,
    409: {
        "code": "conflict",
        "fix": "another operation on the endpoint is in progress; wait until it has ended, then run again",
    },
}

# Codes of failed operations. Source:
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
FAILURES = {
    "OutOfQuota": "request quota of the VM family, or set another deployment.instance_type or fewer instances; Azure "
    "ML reserves 20% more for its own upgrades",
    "OutOfCapacity": "the region has no such VM left; try again later, or set another deployment.instance_type",
    "ImageBuildFailure": "open the log of the image in the studio (Environments); check deployment.image and the rules "
    "of the workspace's network",
    "ResourceNotReady": "the server did not start in time: see its log, deployment.startup_seconds and the GPU memory",
    "BadArgument": "correct what the message names",
}


class OperationFailed(AzdistillError):
    """Azure ended an operation on an endpoint or a deployment with a failure."""

    code = "operation_failed"


@dataclass(frozen=True)
class EndpointState:
    """An endpoint as it was read. `deployments` are entities of the SDK by name, `traffic` the percents above 0.

    `options` of `az ml` name the workspace.
    """

    entity: Any
    deployments: Mapping[str, Any] = field(default_factory=dict)
    options: str = ""

    def set_traffic_command(self, traffic: Mapping[str, int]) -> str:
        """Command that gives the deployments these percents of the requests."""
        return set_traffic_command(self.entity.name, traffic, self.options)

    def delete_command(self, deployment: str) -> str:
        """Command that deletes a deployment."""
        name = f"--name {deployment} --endpoint-name {self.entity.name}"
        return f"az ml online-deployment delete {name} {self.options}"

    @property
    def provisioning_state(self) -> str:
        return text_of(self.entity.provisioning_state)

    @property
    def is_busy(self) -> bool:
        """True while Azure changes the endpoint or one of its deployments."""
        return any(text_of(item.provisioning_state) not in ENDED for item in (self.entity, *self.deployments.values()))

    @property
    def tags(self) -> dict[str, str]:
        return dict(self.entity.tags or {})

    @property
    def traffic(self) -> dict[str, int]:
        return {name: int(percent) for name, percent in (self.entity.traffic or {}).items() if int(percent)}

    @property
    def mirrored(self) -> dict[str, int]:
        return {name: int(percent) for name, percent in (self.entity.mirror_traffic or {}).items() if int(percent)}

    def content(self, name: str) -> str | None:
        """Hash of what a deployment was created from. None for a missing one, and for one of someone else."""
        deployment = self.deployments.get(name)
        content = (deployment.tags or {}).get(CONTENT_TAG) if deployment else None
        return None if content is None else str(content)

    def state_of(self, name: str) -> str:
        """Provisioning state of a deployment, empty for a missing one."""
        deployment = self.deployments.get(name)
        return text_of(deployment.provisioning_state) if deployment else ""


def set_traffic_command(endpoint: str, traffic: Mapping[str, int], options: str) -> str:
    shares = " ".join(f"{name}={percent}" for name, percent in traffic.items())
    return f"az ml online-endpoint update --name {endpoint} --traffic '{shares}' {options}"


class OnlineEndpoint:
    """Read and change one endpoint."""

    def __init__(self, client: "MLClient", name: str) -> None:
        self._client, self.name = client, name

    @property
    def subject(self) -> str:
        return f"endpoint {self.name!r}"

    def set_traffic_command(self, traffic: Mapping[str, int]) -> str:
        """Command that gives the deployments these percents of the requests."""
        return set_traffic_command(self.name, traffic, workspace_options(self._client))

    def read(self) -> EndpointState | None:
        """The endpoint with its deployments, None if the workspace has none of this name."""
        from azure.core.exceptions import ResourceNotFoundError

        with translate_errors(self.subject, FIXES):
            try:
                entity = self._client.online_endpoints.get(self.name)
            except ResourceNotFoundError:
                return None
            deployments = self._client.online_deployments.list(self.name)
            by_name = {deployment.name: deployment for deployment in deployments}
            return EndpointState(entity, by_name, workspace_options(self._client))

    def create(self, file: Path, tags: Mapping[str, str]) -> None:
        """Create the endpoint of a file, with more tags."""
        from azure.ai.ml import load_online_endpoint

        with translate_errors(self.subject, FIXES):
            entity = load_online_endpoint(file)
            entity.tags = {**(entity.tags or {}), **tags}
            wait(self._client.online_endpoints.begin_create_or_update(entity), self.subject)

    def update(self, state: EndpointState, traffic: Mapping[str, int], mirrored: Mapping[str, int]) -> None:
        """Set traffic and mirrored traffic of an endpoint that was just read. Its tags may have been changed."""
        entity = state.entity
        entity.traffic, entity.mirror_traffic = dict(traffic), dict(mirrored)
        with translate_errors(self.subject, FIXES):
            wait(self._client.online_endpoints.begin_create_or_update(entity), self.subject)

    def create_deployment(self, file: Path) -> None:
        """Create the deployment of a file. Its model is registered; the build context of its image is uploaded."""
        from azure.ai.ml import load_online_deployment

        with translate_errors(f"deployment {file.stem!r}", FIXES):
            deployment = load_online_deployment(file)
            poller = self._client.online_deployments.begin_create_or_update(deployment)
            wait(poller, f"deployment {file.stem!r}")

    def delete_deployment(self, name: str) -> None:
        with translate_errors(f"deployment {name!r}", FIXES):
            poller = self._client.online_deployments.begin_delete(name=name, endpoint_name=self.name)
            wait(poller, f"deployment {name!r}")

    def log(self, name: str) -> str:
        """The last lines of a deployment's containers. Empty where Azure has none."""
        texts = []
        for container in CONTAINERS:
            with contextlib.suppress(AzdistillError), translate_errors(f"deployment {name!r}", FIXES):
                operations: Any = self._client.online_deployments
                text = operations.get_logs(name, self.name, LOG_LINES, container_type=container)
                texts += [f"{container}: {line}" for line in text.splitlines() if line.strip()]
        return "\n".join(texts)


def wait(poller: Any, subject: str) -> None:
    """Wait for the end of an operation.

    Raises OperationFailed when Azure reports a failure, AzdistillError when it does not end.
    """
    from azure.core.exceptions import HttpResponseError

    try:
        poller.wait(MAX_WAIT_S)
        if not poller.done():
            raise AzdistillError(
                f"its operation has not ended after {MAX_WAIT_S / 60:.0f} minutes",
                subject=subject,
                code="timeout",
                fix="look at the endpoint in the studio, then run again: a rollout continues where it stopped",
            )
        poller.result()
    except HttpResponseError as error:
        if (error.status_code or 0) >= 400:  # a request was refused, not the operation
            raise
        code = getattr(error.error, "code", None) or FAILED
        message = getattr(error.error, "message", None) or error.reason or "no reason"
        raise OperationFailed(
            f"{code} ({in_one_line(message)})", subject=subject, fix=FAILURES.get(str(code), "see its log")
        ) from None
