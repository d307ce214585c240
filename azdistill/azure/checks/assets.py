"""The data and models that a bundle names, in the workspace or in a registry."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import in_workspace
from azdistill.azure.checks.check import Check, looked_up
from azdistill.azure.checks.registry import open_registry

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

ASSET = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
SHARED = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>models|data)/(?P<name>[^/]+)/"
    r"(?P<by>versions|labels)/(?P<version>[^/]+)"
)


def check_assets(client: "MLClient", document: Mapping[str, Any]) -> Iterator[Check]:
    for name, port in document.get("inputs", {}).items():
        path = str(port.get("path")) if isinstance(port, dict) else ""
        if found := ASSET.fullmatch(path):
            kind = "models" if str(port["type"]).endswith("_model") else "data"
            get = _getter(getattr(client, kind), found["name"], found["version"], label="@" in path)
            missing = "register it, or correct its name and version", _listing(kind, in_workspace(client))
            _, problem = looked_up(f"inputs.{name} {path!r}", get, *missing)
            yield problem or Check(f"inputs.{name}", "ok", path)
        elif found := SHARED.fullmatch(path):
            yield _shared(client, f"inputs.{name}", found)


def _shared(client: "MLClient", name: str, found: re.Match[str]) -> Check:
    """An asset that a registry shares; of a version that is not there, those that there are."""
    what = f"{name} {found[0]!r}"
    registry, problem = open_registry(client, what, found["registry"])
    if problem:
        return problem
    operations = getattr(registry, found["kind"])
    get = _getter(operations, found["name"], found["version"], label=found["by"] == "labels")
    _, problem = looked_up(what, get, told="")
    if problem is None or problem.state != "wrong":
        return problem or Check(name, "ok", found[0])
    listing = _listing(found["kind"], f"--registry-name {shlex.quote(found['registry'])}")
    versions, problem = looked_up(what, lambda: [one.version for one in operations.list(name=found["name"])], told="")
    if versions:
        told = f"the registry has no such version of it, but {', '.join(map(str, versions))}"
        return Check(what, "wrong", told, "name one of these")
    return Check(what, "wrong", "the registry has none of that name", "correct it by those that there are", listing)


def _getter(operations: Any, name: str, version: str, *, label: bool) -> Callable[[], Any]:
    return lambda: operations.get(name=name, **{"label" if label else "version": version})


def _listing(kind: str, where: str) -> str:
    return f"az ml {kind.removesuffix('s')} list {where}"
