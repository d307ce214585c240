"""Whether a region has a VM size, and quota left for it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import in_workspace
from azdistill.azure.checks.check import Check
from azdistill.azure.problems import asking
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

LOW_PRIORITY = "TotalLowPriorityCores"
"""Azure ML's name of the one quota that all families share for spot."""


def check_serverless(client: "MLClient", size: str | None, count: int, region: str, *, spot: bool) -> Check:
    what = f"serverless {size}{' (spot)' if spot else ''}"
    try:
        with asking(what):
            found = next((vm for vm in client.compute.list_sizes(location=region) if _same_name(vm.name, size)), None)
            usages = _usages_by_name(client.compute.list_usage(location=region))
    except AzdistillError as problem:
        return Check(what, "unknown", str(problem))
    if found is None:
        listing = f"az ml compute list-sizes --location {region} {in_workspace(client)}"
        move = "name another one in compute.*_instance_type, of these"
        return Check(what, "wrong", f"{region} has no such VM size", move, listing)
    if spot and not _is_lent_as_spot(found):
        return Check(what, "wrong", f"{region} has none of it as spot", "leave the tier out, or name another size")
    quota, needed = LOW_PRIORITY if spot else str(found.family), _cores(found) * count
    usage = usages.get(quota.lower())
    if usage is None:
        return Check(what, "unknown", f"{region} tells no quota of {quota}")
    left = usage.limit - usage.current
    told = f"{left} of {usage.limit} cores of {quota} are left in {region}, and {count} of it take {needed}"
    if left >= needed:
        return Check(what, "ok", told)
    listing = f"az ml compute list-usage --location {region} {in_workspace(client)}"
    return Check(what, "wrong", told, "ask for quota, or name another size in compute.*_instance_type", listing)


def _cores(size: Any) -> int:
    """The SDK leaves `v_cp_us` empty; the number is among its raw fields."""
    return int(size.v_cp_us if size.v_cp_us is not None else vars(size)["vCPUs"])


def _is_lent_as_spot(size: Any) -> bool:
    """As with cores, the SDK leaves `low_priority_capable` empty."""
    return vars(size).get("lowPriorityCapable") is not False


@dataclass(frozen=True)
class _Usage:
    name: str
    limit: int
    current: int


def _usages_by_name(usages: Iterable[Any]) -> dict[str, _Usage]:
    """A limit of -1 stands where a family has none of its own, as with spot, and may share its name with one."""
    return {usage.name.lower(): usage for usage in _usages(usages) if usage.limit >= 0}


def _usages(usages: Iterable[Any]) -> Iterator[_Usage]:
    """As with cores, `current_value` is empty."""
    for usage in usages:
        name = usage.name.get("value", "") if isinstance(usage.name, dict) else getattr(usage.name, "value", usage.name)
        current = usage.current_value if usage.current_value is not None else vars(usage).get("currentValue", 0)
        yield _Usage(str(name), int(usage.limit), int(current or 0))


def _same_name(one: str, other: str | None) -> bool:
    return one.casefold() == (other or "").casefold()
