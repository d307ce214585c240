"""Check the endpoint of a job: the quota of its VM size, and what the workspace has under its name.

No result is a problem of the job itself: it trains its student without an endpoint.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from azdistill.azure.checks.result import CheckResult, from_problem, ok, unknown
from azdistill.azure.checks.vm_sizes import Region, cores, list_sizes, read_region
from azdistill.azure.checks.workspace import open_workspace
from azdistill.azure.deployment.endpoint import SUCCEEDED, OnlineEndpoint
from azdistill.azure.errors import translate_errors
from azdistill.azure.roles import workspace_options
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.deployment import DeploymentSection
    from azdistill.job.model import DistillationJob

# Azure ML reserves this much more for upgrades of its VMs.
# Source: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
RESERVED = 1.2


def check_deployment(client: "MLClient", job: "DistillationJob") -> Iterator[CheckResult]:
    """Quota and endpoint of a job with section `deployment`. Nothing if the workspace does not open."""
    workspace = open_workspace(client)[0] if job.deployment else None
    if job.deployment is None or workspace is None:
        return
    checked = f"endpoint {job.deployment.endpoint_name!r}"
    try:
        with translate_errors(checked):
            region = read_region(client, workspace.location)
        yield _check_quota(client, region, checked, job.deployment)
        yield _check_endpoint(client, checked, job.deployment)
    except AzdistillError as error:
        yield from_problem(checked, error.problems[0], "unknown")


def _check_quota(client: "MLClient", region: Region, checked: str, deployment: "DeploymentSection") -> CheckResult:
    """The cores of the VMs that are always rented. A rollout needs them twice."""
    name, count = deployment.instance_type, deployment.min_instances
    size = region.sizes.get(name.casefold())
    if size is None:
        fix = "set deployment.instance_type to a size of this list"
        return unknown(
            checked, "no_such_vm_size", f"{region.name} has no VM size {name}", fix, list_sizes(client, region)
        )
    quota = region.quotas.get(str(size.family).lower())
    if quota is None:
        return unknown(checked, "quota_unknown", f"{region.name} reports no quota for {size.family}")
    needed, left = cores(size) * math.ceil(RESERVED * count), quota.limit - quota.used
    detail = f"{needed} cores needed ({count} of {name}, and 20% more), {left} of {quota.limit} left in {region.name}"
    if left < needed:
        fix = "request quota, or set another deployment.instance_type"
        command = f"az ml compute list-usage --location {region.name} {workspace_options(client)}"
        return unknown(checked, "quota_exceeded", detail, fix, command)
    return ok(checked, detail)


def _check_endpoint(client: "MLClient", checked: str, deployment: "DeploymentSection") -> CheckResult:
    state = OnlineEndpoint(client, deployment.endpoint_name).read()
    if state is None:
        return ok(checked, "does not exist; azdistill deploy creates it")
    if state.provisioning_state != SUCCEEDED:
        message = f"its provisioning state is {state.provisioning_state}"
        return unknown(checked, "endpoint_state", message, "look at it in the studio before you deploy")
    shares = ", ".join(f"{name} {percent}%" for name, percent in state.traffic.items())
    return ok(checked, f"exists, traffic: {shares or 'none'}")
