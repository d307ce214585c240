"""Check VM size and quota of serverless compute."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, from_problem, ok, unknown
from azdistill.azure.errors import translate_errors
from azdistill.azure.roles import workspace_options
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Azure ML's name for the quota that all VM families share for spot instances.
LOW_PRIORITY = "TotalLowPriorityCores"


def check_serverless(client: "MLClient", vm_size: str | None, count: int, region: str, *, spot: bool) -> CheckResult:
    """Check that `region` has the VM size, and enough cores of quota left for `count` instances."""
    checked = f"serverless {vm_size}{' (spot)' if spot else ''}"
    try:
        with translate_errors(checked):
            sizes = {size.name.casefold(): size for size in client.compute.list_sizes(location=region)}
            quotas = _quotas(client.compute.list_usage(location=region))
    except AzdistillError as error:
        return from_problem(checked, error.problems[0], "unknown")
    size = sizes.get((vm_size or "").casefold())
    if size is None:
        command = f"az ml compute list-sizes --location {region} {workspace_options(client)}"
        fix = "set compute.*_instance_type to a size of this list"
        return failed(checked, "no_such_vm_size", f"{region} has no such VM size", fix, command)
    if spot and not _available_as_spot(size):
        fix = "leave the tier out, or choose another size"
        return failed(checked, "no_spot_instances", f"{region} does not offer this size as spot", fix)
    name, needed = LOW_PRIORITY if spot else str(size.family), _cores(size) * count
    quota = quotas.get(name.lower())
    if quota is None:
        return unknown(checked, "quota_unknown", f"{region} reports no quota for {name}")
    left = quota.limit - quota.used
    detail = f"{needed} cores needed ({count} of this size), {left} of {quota.limit} cores of {name} left in {region}"
    if left >= needed:
        return ok(checked, detail)
    command = f"az ml compute list-usage --location {region} {workspace_options(client)}"
    fix = "request quota, or set another size in compute.*_instance_type"
    return failed(checked, "quota_exceeded", detail, fix, command)


def _cores(size: Any) -> int:
    """The SDK leaves `v_cp_us` empty; the number is among the raw fields of its object."""
    return int(size.v_cp_us if size.v_cp_us is not None else vars(size)["vCPUs"])


def _available_as_spot(size: Any) -> bool:
    """The SDK leaves `low_priority_capable` empty, too."""
    return vars(size).get("lowPriorityCapable") is not False


@dataclass(frozen=True)
class _Quota:
    """Quota of a VM family in cores."""

    name: str
    limit: int
    used: int


def _quotas(usages: Iterable[Any]) -> dict[str, _Quota]:
    """Quotas by lower-case name. A family without a limit of its own (spot) has the limit -1 and is left out: its name
    may also be the name of a family that has one."""
    return {quota.name.lower(): quota for quota in _read_usages(usages) if quota.limit >= 0}


def _read_usages(usages: Iterable[Any]) -> Iterator[_Quota]:
    """The SDK leaves `current_value` empty, too."""
    for usage in usages:
        name = usage.name.get("value", "") if isinstance(usage.name, dict) else getattr(usage.name, "value", usage.name)
        used = usage.current_value if usage.current_value is not None else vars(usage).get("currentValue", 0)
        yield _Quota(str(name), int(usage.limit), int(used or 0))
