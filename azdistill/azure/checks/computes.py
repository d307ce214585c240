"""The computes that the nodes ask for."""

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import in_workspace
from azdistill.azure.checks.check import Check, looked_up
from azdistill.azure.checks.serverless import check_serverless

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SERVERLESS, SPOT = "serverless", "spot"


def check_computes(client: "MLClient", document: Mapping[str, Any], region: str) -> Iterator[Check]:
    wanted: dict[tuple[str, str | None, bool], int] = {}
    for node in document["jobs"].values():
        resources = node.get("resources", {})
        spot = str(node.get("queue_settings", {}).get("job_tier")).casefold() == SPOT
        key = str(node["compute"]).removeprefix("azureml:"), resources.get("instance_type"), spot
        wanted[key] = max(wanted.get(key, 0), int(resources.get("instance_count", 1)))
    for (name, size, spot), count in wanted.items():
        if name == SERVERLESS:
            yield check_serverless(client, size, count, region, spot=spot)
        else:
            yield _cluster(client, name, count)


def _cluster(client: "MLClient", name: str, count: int) -> Check:
    what = f"compute {name!r}"
    scale = f"--size VM_SIZE --min-instances 0 --max-instances {count}"
    command = f"az ml compute create --type AmlCompute --name {shlex.quote(name)} {scale} {in_workspace(client)}"
    compute, problem = looked_up(what, lambda: client.compute.get(name), "create it", command)
    if problem:
        return problem
    if compute.provisioning_state != "Succeeded":
        return Check(what, "wrong", f"it is {compute.provisioning_state}", "see it in the studio, under Compute")
    return Check(what, "ok", f"{compute.size}")
