"""Statuses of the nodes of a pipeline job. The status of the pipeline alone does not show failed nodes."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import in_one_line, translate_errors
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

COMPLETED, FAILED = "Completed", "Failed"
FAILED_STATUSES = frozenset({FAILED, "Canceled", "NotResponding"})
FINAL_STATUSES = FAILED_STATUSES | {COMPLETED}
# Start of Azure ML's error for a node whose image could not be built. Its parameter ArtifactPath is the log.
IMAGE_BUILD_FAILED = "Image build failed"

# Why a node with this status does not run yet. Source: JobStatus in the models of azure-ai-ml.
WAITS_FOR = {
    "NotStarted": "waits for other nodes",
    "Queued": "waits for a VM: the quota or the nodes of the cluster are in use, or no spot VM is free",
    "Preparing": "its image is being built or pulled: the first build takes 10 to 30 minutes",
    "Provisioning": "its VM is being started",
}


@dataclass(frozen=True)
class NodeStatus:
    """Status of one node. `job` is the name of the node's own job in the workspace."""

    node: str
    job: str
    status: str

    @property
    def waits_for(self) -> str:
        """The reason why it does not run yet. Empty for a node that runs or has ended."""
        return WAITS_FOR.get(self.status, "")


def node_statuses(client: "MLClient", pipeline: str) -> tuple[NodeStatus, ...]:
    """The nodes of a pipeline job that have been started. Raises what the SDK raises."""
    children = client.jobs.list(parent_job_name=pipeline)
    return tuple(NodeStatus(child.display_name or child.name, child.name, text_of(child.status)) for child in children)


def failed_nodes(nodes: Iterable[NodeStatus]) -> tuple[str, ...]:
    """Names of the nodes that failed or were cancelled."""
    return tuple(node.node for node in nodes if node.status in FAILED_STATUSES)


def failure_reason(client: "MLClient", nodes: Iterable[NodeStatus]) -> str:
    """The error that Azure ML recorded for the first failed node, in one line. Empty if it has none or is not read."""
    failed = next((node for node in nodes if node.status == FAILED), None)
    if failed is None:
        return ""
    operations: Any = client.jobs  # it has no public method for the details of a run
    with contextlib.suppress(AzdistillError), translate_errors(f"job {failed.job!r}"):
        error = operations._runs_operations.get_run_details(failed.job).error
        return (
            f"{failed.node}: {_reason(failed.job, error.error)}"
            if error and error.error and error.error.message
            else ""
        )
    return ""


def _reason(job: str, error: Any) -> str:
    """The text of an error of run history. For an image that could not be built: where the log of its build is."""
    log = (error.message_parameters or {}).get("ArtifactPath")
    if log and error.message.startswith(IMAGE_BUILD_FAILED):
        return f"its image could not be built; the log is {log} in the files of `azdistill download {job}`"
    return in_one_line(error.message)


def text_of(status: Any) -> str:
    """Text of a status, which the SDK gives as text or as a member of an enumeration."""
    return str(getattr(status, "value", status))
