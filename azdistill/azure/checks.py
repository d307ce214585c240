"""What can be known of a bundle's way through a workspace before it is submitted: each check tells what to do."""

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
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
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json
from azdistill.document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

State = Literal["ok", "wrong", "unknown"]
Barred = tuple[str, str, str]
"""Detail, move and command of a workspace that doesn't open."""

ASSET = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
MLFLOW_AT_LEAST = (1, 62)
SERVERLESS = "serverless"


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


def check_bundle(client: "MLClient", bundle: Path) -> Iterator[Check]:
    """Workspace, computes and quota, connections, data and models, environments, and the right to write blobs, in the
    order in which one needs the other. A workspace that can't be reached is the only finding."""
    document = read_document(bundle / "pipeline.yml", InputError, "pipeline").value
    workspace, found = _workspace(client)
    yield found
    if workspace is None:
        return
    yield from _computes(client, document, workspace.location)
    yield from _connections(client, bundle)
    yield from _assets(client, document)
    yield from _environments(bundle)
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


def _looked_up(what: str, get: Callable[[], Any], *missing: str) -> tuple[Any, Check | None]:
    """What is there, or the finding that it is not, with move and command."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with asking(what):
            try:
                return get(), None
            except ResourceNotFoundError:
                return None, Check(what, "wrong", "the workspace has none of that name", *missing)
    except AzdistillError as problem:
        return None, Check(what, "unknown", str(problem))


def _computes(client: "MLClient", document: Mapping[str, Any], region: str) -> Iterator[Check]:
    wanted: dict[tuple[str, str | None], int] = {}
    for node in document["jobs"].values():
        resources = node.get("resources", {})
        key = str(node["compute"]).removeprefix("azureml:"), resources.get("instance_type")
        wanted[key] = max(wanted.get(key, 0), int(resources.get("instance_count", 1)))
    for (name, size), count in wanted.items():
        yield _serverless(client, size, count, region) if name == SERVERLESS else _cluster(client, name, count)


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


def _serverless(client: "MLClient", size: str | None, count: int, region: str) -> Check:
    """Low-priority quota is one for all families; dedicated quota is a family's."""
    what = f"serverless {size}"
    try:
        with asking(what):
            found = next((vm for vm in client.compute.list_sizes(location=region) if _same(vm.name, size)), None)
            usages = {usage.name.lower(): usage for usage in _named(client.compute.list_usage(location=region))}
    except AzdistillError as problem:
        return Check(what, "unknown", str(problem))
    if found is None:
        listing = f"az ml compute list-sizes --location {region} {in_workspace(client)}"
        move = "name another one in compute.*_instance_type, of these"
        return Check(what, "wrong", f"{region} has no such VM size", move, listing)
    usage = usages.get(str(found.family).lower())
    if usage is None:
        return Check(what, "unknown", f"{region} tells no quota of family {found.family}")
    left, needed = usage.limit - usage.current, _cores(found) * count
    told = f"{left} of {usage.limit} cores of {found.family} are left in {region}, and {count} of it take {needed}"
    if left >= needed:
        return Check(what, "ok", told)
    listing = f"az ml compute list-usage --location {region} {in_workspace(client)}"
    return Check(what, "wrong", told, "ask for quota, or name another size in compute.*_instance_type", listing)


def _cores(size: Any) -> int:
    """The SDK leaves `v_cp_us` empty; the number is among its raw fields."""
    return int(size.v_cp_us if size.v_cp_us is not None else vars(size)["vCPUs"])


@dataclass(frozen=True)
class _Usage:
    name: str
    limit: int
    current: int


def _named(usages: Iterable[Any]) -> Iterator[_Usage]:
    """As with cores, `current_value` is empty."""
    for usage in usages:
        name = usage.name.get("value", "") if isinstance(usage.name, dict) else getattr(usage.name, "value", usage.name)
        current = usage.current_value if usage.current_value is not None else vars(usage).get("currentValue", 0)
        yield _Usage(str(name), int(usage.limit), int(current or 0))


def _same(one: str, other: str | None) -> bool:
    return one.casefold() == (other or "").casefold()


def _connections(client: "MLClient", bundle: Path) -> Iterator[Check]:
    path = bundle / "inputs/teachers.json"
    teachers = read_json(path) if path.is_file() else []
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
        found = ASSET.fullmatch(str(port.get("path"))) if isinstance(port, dict) else None
        if found:
            kind = "model" if str(port["type"]).endswith("_model") else "data"
            operations = client.models if kind == "model" else client.data
            get = _getter(operations, found["name"], found["version"], label="@" in port["path"])
            missing = "register it, or correct its name and version", f"az ml {kind} list {in_workspace(client)}"
            _, problem = _looked_up(f"inputs.{name} {port['path']!r}", get, *missing)
            yield problem or Check(f"inputs.{name}", "ok", port["path"])


def _getter(operations: Any, name: str, version: str, *, label: bool) -> Callable[[], Any]:
    return lambda: operations.get(name=name, **{"label" if label else "version": version})


def _environments(bundle: Path) -> Iterator[Check]:
    """An older azureml-mlflow crashes when a job saves its first artifact, hours after the start."""
    for path in sorted(bundle.glob("environments/*/conda.yml")):
        pinned = re.search(r"azureml-mlflow\s*[=~>]=\s*(\d+)\.(\d+)", path.read_text(encoding="utf-8"))
        if pinned and tuple(map(int, pinned.groups())) < MLFLOW_AT_LEAST:
            told = f"azureml-mlflow {'.'.join(pinned.groups())} can't save artifacts with mlflow 3"
            yield Check(f"environment {path.parent.name!r}", "wrong", told, "ask for azureml-mlflow>=1.62")


def _writing(client: "MLClient", workspace: Any) -> Check:
    """Whether the one who submits may write where the code goes: by a key of the store, or by a role."""
    what = "default datastore"
    store, problem = _looked_up(what, lambda: client.datastores.get_default(include_secrets=True), "see the workspace")
    if problem:
        return problem
    if getattr(store.credentials, "account_key", None) or getattr(store.credentials, "sas_token", None):
        return Check(what, "ok", f"{store.name}, by its own key")
    told = f"{store.name} has no key, so what is uploaded is written with your own identity"
    command = grant_caller(client, WRITER, _account_scope(store.account_name, workspace.storage_account or ""))
    return Check(what, "unknown", told, f"it needs the role '{WRITER}'", command)


def _account_scope(name: str, workspace_account: str) -> str:
    """The address of a storage account: the workspace's own is known, another one is asked for."""
    if workspace_account.endswith(f"/{name}"):
        return shlex.quote(workspace_account)
    return f'"$(az storage account show --name {shlex.quote(name)} --query id --output tsv)"'
