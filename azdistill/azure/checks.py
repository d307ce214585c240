"""What can be known of a bundle's way through a workspace before it is submitted: each check tells what to do."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from azdistill.azure.access import (
    SCIENTIST,
    WORKSPACES,
    WRITER,
    grant_caller,
    in_subscription,
    in_workspace,
    wanted_tenant,
    workspace_scope,
)
from azdistill.azure.problems import asking
from azdistill.azure.registry import unpublished
from azdistill.azure.submission import status_word
from azdistill.azure.workspace import beside
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json
from azdistill.document import read_document
from azdistill.spec.models import AS_OF, BUILT_IN

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

State = Literal["ok", "wrong", "unknown"]
Barred = tuple[str, str, str]
"""Detail, move and command of a workspace that doesn't open."""

ASSET = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
SHARED = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/(?P<kind>models|data)/(?P<name>[^/]+)/"
    r"(?P<by>versions|labels)/(?P<version>[^/]+)"
)
MLFLOW_AT_LEAST = (1, 62)
SERVERLESS, SPOT = "serverless", "spot"
LOW_PRIORITY = "TotalLowPriorityCores"
"""Azure ML's name of the one quota that all families share for spot."""
NONE_IN_WORKSPACE = "the workspace has none of that name"
PROBE = "azdistill/may-i-write"
"""The blob that is written and removed to see whether one may."""
ONCE_MORE: dict[str, Any] = {"retry_total": 1, "initial_backoff": 1, "increment_base": 0, "random_jitter_range": 0}
"""How often a probe is tried again, and after how many seconds; the SDK's own patience takes minutes."""
CLOSED = {
    "AuthorizationFailure": "its firewall lets in some networks only: submit from one of these",
    "KeyBasedAuthenticationNotPermitted": "it takes no keys: set the workspace's systemDatastoresAuthMode to identity",
}
"""Refusals that no role helps against."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `move` and `command` are what to do about it, in words and for a shell; empty where
    there is nothing."""

    what: str
    state: State
    detail: str
    move: str = ""
    command: str = ""

    def __str__(self) -> str:
        advice = ": ".join(filter(None, (self.move, self.command)))
        return f"{self.what}: {self.detail}" + (f"; {advice}" if advice else "")


def check_workspace(client: "MLClient") -> Iterator[Check]:
    """The workspace, and the right to write blobs. A workspace that can't be reached is the only finding."""
    workspace, found = _workspace(client)
    yield found
    if workspace is not None:
        yield _writing(client, workspace)


def check_bundle(
    client: "MLClient", bundle: Path, registry: str | None = None, today: date | None = None
) -> Iterator[Check]:
    """Workspace, computes and quota, connections and teachers, data and models, environments, what the bundle runs out
    of a `registry`, and the right to write blobs, in the order in which one needs the other. A workspace that can't be
    reached is the only finding. Which teachers are retired depends on the day, by default this one."""
    document = read_document(bundle / "pipeline.yml", InputError, "pipeline").value
    workspace, found = _workspace(client)
    yield found
    if workspace is None:
        return
    yield from _computes(client, document, workspace.location)
    yield from _connections(client, bundle)
    yield from _retired(bundle, today or date.today())
    yield from _assets(client, document)
    yield from _environments(bundle)
    if registry is not None:
        yield _published(client, bundle, registry)
    yield _writing(client, workspace)


def stop_at_wrong(found: Iterable[Check]) -> list[Check]:
    """The checks, when none is wrong. Raises InputError, one line a finding."""
    checks = list(found)
    if wrong := [check for check in checks if check.state == "wrong"]:
        raise InputError("\n".join(map(str, wrong)))
    return checks


def _workspace(client: "MLClient") -> tuple[Any, Check]:
    """The workspace, or None, and what is to be said of it."""
    from azure.core.exceptions import HttpResponseError

    what = f"workspace {client.workspace_name!r}"
    try:
        with asking(what):
            try:
                found = client.workspaces.get(client.workspace_name)
            except HttpResponseError as problem:
                if problem.status_code not in BARRED:
                    raise
                return None, Check("workspace", "wrong", *BARRED[problem.status_code](client, problem))
    except AzdistillError as problem:
        return None, Check("workspace", "wrong", str(problem).removeprefix(f"{what}: "))
    return found, Check("workspace", "ok", f"{found.name} in {found.location}")


def _other_tenant(client: "MLClient", problem: "HttpResponseError") -> Barred:
    tenant = wanted_tenant(problem)
    login = f"az login --tenant {tenant}" if tenant else "az login"
    told = f"the login is refused for subscription {client.subscription_id} (HTTP 401)"
    return told, "sign in to its tenant", f"{login} && az account set {in_subscription(client)}"


def _no_role(client: "MLClient", _problem: "HttpResponseError") -> Barred:
    told = f"you may not read {client.workspace_name!r} (HTTP 403)"
    command = grant_caller(client, SCIENTIST, workspace_scope(client))
    return told, f"have its owner give you the role '{SCIENTIST}'", command


def _not_there(client: "MLClient", _problem: "HttpResponseError") -> Barred:
    told = f"no {client.workspace_name!r} in resource group {client.resource_group_name!r} (HTTP 404)"
    command = f"az resource list --resource-type {WORKSPACES} {in_subscription(client)} --output table"
    return told, "check config.json against those that there are", command


BARRED: Mapping[int | None, Callable[["MLClient", "HttpResponseError"], Barred]] = {
    401: _other_tenant,
    403: _no_role,
    404: _not_there,
}
"""By status of a workspace that doesn't open."""


def _looked_up(
    what: str, get: Callable[[], Any], *missing: str, told: str = NONE_IN_WORKSPACE
) -> tuple[Any, Check | None]:
    """What is there, or the finding that it is not, with move and command."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with asking(what):
            try:
                return get(), None
            except ResourceNotFoundError:
                return None, Check(what, "wrong", told, *missing)
    except AzdistillError as problem:
        return None, Check(what, "unknown", str(problem))


def _computes(client: "MLClient", document: Mapping[str, Any], region: str) -> Iterator[Check]:
    wanted: dict[tuple[str, str | None, bool], int] = {}
    for node in document["jobs"].values():
        resources = node.get("resources", {})
        spot = str(node.get("queue_settings", {}).get("job_tier")).casefold() == SPOT
        key = str(node["compute"]).removeprefix("azureml:"), resources.get("instance_type"), spot
        wanted[key] = max(wanted.get(key, 0), int(resources.get("instance_count", 1)))
    for (name, size, spot), count in wanted.items():
        if name == SERVERLESS:
            yield _serverless(client, size, count, region, spot=spot)
        else:
            yield _cluster(client, name, count)


def _cluster(client: "MLClient", name: str, count: int) -> Check:
    what = f"compute {name!r}"
    scale = f"--size VM_SIZE --min-instances 0 --max-instances {count}"
    command = f"az ml compute create --type AmlCompute --name {shlex.quote(name)} {scale} {in_workspace(client)}"
    compute, problem = _looked_up(what, lambda: client.compute.get(name), "create it", command)
    if problem:
        return problem
    if compute.provisioning_state != "Succeeded":
        return Check(what, "wrong", f"it is {compute.provisioning_state}", "see it in the studio, under Compute")
    return Check(what, "ok", f"{compute.size}")


def _serverless(client: "MLClient", size: str | None, count: int, region: str, *, spot: bool) -> Check:
    what = f"serverless {size}{' (spot)' if spot else ''}"
    try:
        with asking(what):
            found = next((vm for vm in client.compute.list_sizes(location=region) if _same(vm.name, size)), None)
            usages = _by_name(client.compute.list_usage(location=region))
    except AzdistillError as problem:
        return Check(what, "unknown", str(problem))
    if found is None:
        listing = f"az ml compute list-sizes --location {region} {in_workspace(client)}"
        move = "name another one in compute.*_instance_type, of these"
        return Check(what, "wrong", f"{region} has no such VM size", move, listing)
    if spot and not _is_lent(found):
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


def _is_lent(size: Any) -> bool:
    """As with cores, the SDK leaves `low_priority_capable` empty."""
    return vars(size).get("lowPriorityCapable") is not False


def _cores(size: Any) -> int:
    """The SDK leaves `v_cp_us` empty; the number is among its raw fields."""
    return int(size.v_cp_us if size.v_cp_us is not None else vars(size)["vCPUs"])


@dataclass(frozen=True)
class _Usage:
    name: str
    limit: int
    current: int


def _by_name(usages: Iterable[Any]) -> dict[str, _Usage]:
    """A limit of -1 stands where a family has none of its own, as with spot, and may share its name with one."""
    return {usage.name.lower(): usage for usage in _named(usages) if usage.limit >= 0}


def _named(usages: Iterable[Any]) -> Iterator[_Usage]:
    """As with cores, `current_value` is empty."""
    for usage in usages:
        name = usage.name.get("value", "") if isinstance(usage.name, dict) else getattr(usage.name, "value", usage.name)
        current = usage.current_value if usage.current_value is not None else vars(usage).get("currentValue", 0)
        yield _Usage(str(name), int(usage.limit), int(current or 0))


def _same(one: str, other: str | None) -> bool:
    return one.casefold() == (other or "").casefold()


def _teachers(bundle: Path) -> list[dict[str, Any]]:
    path = bundle / "inputs/teachers.json"
    return read_json(path) if path.is_file() else []


def _retired(bundle: Path, today: date) -> Iterator[Check]:
    """Told, not held against the job: the catalog is of a day, and an endpoint of one's own may serve it for ever."""
    for name in dict.fromkeys(str(teacher["model"]) for teacher in _teachers(bundle)):
        facts = BUILT_IN.teacher(name)
        if facts and facts.gone(today):
            told = f"Azure serves it no more{f', since {facts.retires}' if facts.retires else ''} (as of {AS_OF})"
            move = f"Azure names {facts.replacement} in its place" if facts.replacement else "name another one"
            yield Check(f"teacher {name!r}", "unknown", told, move)


def _connections(client: "MLClient", bundle: Path) -> Iterator[Check]:
    teachers = _teachers(bundle)
    yield from (
        _connection(client, name) for name in dict.fromkeys(teacher.get("connection") for teacher in teachers) if name
    )
    yield from (_unreachable_key(teacher) for teacher in teachers if _has_local_key(teacher))


def _connection(client: "MLClient", name: str) -> Check:
    what = f"connection {name!r}"
    command = f"az ml connection create --name {shlex.quote(name)} --file connection.yml {in_workspace(client)}"
    move = "create it with endpoint and api_key"
    connection, problem = _looked_up(what, lambda: client.connections.get(name), move, command)
    return problem or Check(what, "ok", str(connection.type))


def _has_local_key(teacher: Mapping[str, Any]) -> bool:
    return bool(teacher.get("key_variable")) and not teacher.get("connection")


def _unreachable_key(teacher: Mapping[str, Any]) -> Check:
    told = f"its key is in the variable {teacher['key_variable']} of this machine, which no job in Azure has"
    move = "put the key into a connection and name that in teacher.connection, or use entra_scope"
    return Check(f"teacher {teacher['model']!r}", "wrong", told, move)


def _assets(client: "MLClient", document: Mapping[str, Any]) -> Iterator[Check]:
    for name, port in document.get("inputs", {}).items():
        path = str(port.get("path")) if isinstance(port, dict) else ""
        if found := ASSET.fullmatch(path):
            kind = "models" if str(port["type"]).endswith("_model") else "data"
            get = _getter(getattr(client, kind), found["name"], found["version"], label="@" in path)
            missing = "register it, or correct its name and version", _listing(kind, in_workspace(client))
            _, problem = _looked_up(f"inputs.{name} {path!r}", get, *missing)
            yield problem or Check(f"inputs.{name}", "ok", path)
        elif found := SHARED.fullmatch(path):
            yield _in_registry(client, f"inputs.{name}", found)


def _getter(operations: Any, name: str, version: str, *, label: bool) -> Callable[[], Any]:
    return lambda: operations.get(name=name, **{"label" if label else "version": version})


def _listing(kind: str, where: str) -> str:
    return f"az ml {kind.removesuffix('s')} list {where}"


def _in_registry(client: "MLClient", name: str, found: re.Match[str]) -> Check:
    """An asset that a registry shares; of a version that is not there, those that there are."""
    what = f"{name} {found[0]!r}"
    registry, problem = _opened(client, what, found["registry"])
    if problem:
        return problem
    operations = getattr(registry, found["kind"])
    get = _getter(operations, found["name"], found["version"], label=found["by"] == "labels")
    _, problem = _looked_up(what, get, told="")
    if problem is None or problem.state != "wrong":
        return problem or Check(name, "ok", found[0])
    listing = _listing(found["kind"], f"--registry-name {shlex.quote(found['registry'])}")
    versions, problem = _looked_up(what, lambda: [one.version for one in operations.list(name=found["name"])], told="")
    if versions:
        told = f"the registry has no such version of it, but {', '.join(map(str, versions))}"
        return Check(what, "wrong", told, "name one of these")
    return Check(what, "wrong", "the registry has none of that name", "correct it by those that there are", listing)


def _opened(client: "MLClient", what: str, registry: str) -> tuple[Any, Check | None]:
    """A client for a registry, or the finding that there is none."""
    missing = "correct its name by those that there are", "az ml registry list"
    return _looked_up(what, lambda: beside(client, registry), *missing, told=f"there is no registry {registry!r}")


def _published(client: "MLClient", bundle: Path, registry: str) -> Check:
    what = f"registry {registry!r}"
    opened, problem = _opened(client, what, registry)
    if problem:
        return problem
    lacking, problem = _looked_up(what, lambda: unpublished(opened, bundle))
    if problem or not lacking:
        return problem or Check(what, "ok", "it has all that the bundle runs")
    told = f"it has no {', '.join(f'{one.name} {one.version}' for one in lacking)}"
    command = f"azdistill publish {shlex.quote(str(bundle))} --registry {shlex.quote(registry)}"
    return Check(what, "wrong", told, "put it there", command)


def _environments(bundle: Path) -> Iterator[Check]:
    """An older azureml-mlflow crashes when a job saves its first artifact, hours after the start."""
    for path in sorted(bundle.glob("environments/*/conda.yml")):
        pinned = re.search(r"azureml-mlflow\s*[=~>]=\s*(\d+)\.(\d+)", path.read_text(encoding="utf-8"))
        if pinned and tuple(map(int, pinned.groups())) < MLFLOW_AT_LEAST:
            told = f"azureml-mlflow {'.'.join(pinned.groups())} can't save artifacts with mlflow 3"
            yield Check(f"environment {path.parent.name!r}", "wrong", told, "ask for azureml-mlflow>=1.62")


def _writing(client: "MLClient", workspace: Any) -> Check:
    """Whether the one who submits may write where the code goes, tried by the SDK's own way to it: an empty blob is
    written and removed. A key of the store opens it, or one's own role where it has none."""
    what = "default datastore"
    store, problem = _looked_up(what, client.datastores.get_default, "see the workspace")
    if problem:
        return problem
    way, problem = _looked_up(what, lambda: _way_to(client, store.name), "see the workspace")
    if problem:
        return problem
    told = f"{store.name}, {'by its own key' if isinstance(way['credential'], str) else 'with your own identity'}"
    account = _account_scope(store.account_name, workspace.storage_account or "")
    return _tried(client, what, told, way, account)


def _way_to(client: "MLClient", store: str) -> dict[str, Any]:
    """Address, container and credential by which the SDK uploads."""
    from azure.ai.ml._artifacts._artifact_utilities import get_datastore_info

    way: dict[str, Any] = get_datastore_info(client.datastores, store)
    return way


def _tried(client: "MLClient", what: str, told: str, way: Mapping[str, Any], account: str) -> Check:
    from azure.core.exceptions import AzureError, HttpResponseError
    from azure.storage.blob import BlobClient

    place = way["account_url"], way["container_name"], PROBE
    probe = BlobClient(*place, credential=way["credential"], **ONCE_MORE)
    try:
        with probe:
            probe.upload_blob(b"", overwrite=True)
            probe.delete_blob()
    except HttpResponseError as problem:
        if problem.status_code not in (401, 403):
            return Check(what, "unknown", f"{told}: HTTP {problem.status_code} when written to")
        return _not_let_in(client, what, told, status_word(getattr(problem, "error_code", "")), account)
    except AzureError as problem:
        move = "where the storage is private, submit from its network"
        return Check(what, "wrong", f"{told}: it can't be reached ({type(problem).__name__})", move)
    return Check(what, "ok", f"{told}, may be written to")


def _not_let_in(client: "MLClient", what: str, told: str, code: str, account: str) -> Check:
    """Source: error codes of the blob service. A role that was just given takes minutes to count."""
    if code in CLOSED:
        return Check(what, "wrong", f"{told}: it refuses this machine ({code})", CLOSED[code])
    command = grant_caller(client, WRITER, account)
    return Check(what, "wrong", f"{told}: it may not be written to ({code})", f"it needs the role '{WRITER}'", command)


def _account_scope(name: str, workspace_account: str) -> str:
    """The address of a storage account: the workspace's own is known, another one is asked for."""
    if workspace_account.endswith(f"/{name}"):
        return shlex.quote(workspace_account)
    return f'"$(az storage account show --name {shlex.quote(name)} --query id --output tsv)"'
