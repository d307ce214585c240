"""Check the compute targets of a pipeline's nodes."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, look_up, ok
from azdistill.azure.checks.serverless import check_serverless
from azdistill.azure.roles import workspace_options

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SERVERLESS, SPOT = "serverless", "spot"


def check_computes(client: "MLClient", document: Mapping[str, Any], region: str) -> Iterator[CheckResult]:
    """One result for each cluster, and for each VM size of serverless compute. `document` is the pipeline file."""
    instances: dict[tuple[str, str | None, bool], int] = {}
    for node in document["jobs"].values():
        resources = node.get("resources", {})
        spot = str(node.get("queue_settings", {}).get("job_tier")).casefold() == SPOT
        key = str(node["compute"]).removeprefix("azureml:"), resources.get("instance_type"), spot
        instances[key] = max(instances.get(key, 0), int(resources.get("instance_count", 1)))
    for (name, vm_size, spot), count in instances.items():
        if name == SERVERLESS:
            yield check_serverless(client, vm_size, count, region, spot=spot)
        else:
            yield _check_cluster(client, name, count)


def _check_cluster(client: "MLClient", name: str, count: int) -> CheckResult:
    checked = f"compute {name!r}"
    scale = f"--size VM_SIZE --min-instances 0 --max-instances {count}"
    command = f"az ml compute create --type AmlCompute --name {shlex.quote(name)} {scale} {workspace_options(client)}"
    compute, problem = look_up(checked, lambda: client.compute.get(name), "create it", command)
    if problem:
        return problem
    if compute.provisioning_state != "Succeeded":
        message = f"its provisioning state is {compute.provisioning_state}"
        return failed(checked, "compute_not_ready", message, "see it in the studio, under Compute")
    return ok(checked, f"{compute.size}")
