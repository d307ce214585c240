"""What can be known of a bundle's way through a workspace before it is submitted: each check tells what to do."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from azdistill.azure.problems import asking
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json
from azdistill.document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

State = Literal["ok", "wrong", "unknown"]

ASSET = re.compile(r"azureml:(?P<name>[^:@/]+)[:@](?P<version>[^:@/]+)")
MLFLOW_AT_LEAST = (1, 62)
SERVERLESS = "serverless"
WRITER = "Storage Blob Data Contributor"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `move` is what to do about it, empty where nothing is."""

    what: str
    state: State
    detail: str
    move: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.detail}" + (f"; {self.move}" if self.move else "")


def check_bundle(client: "MLClient", bundle: Path) -> Iterator[Check]:
    """Workspace, computes and quota, connections, data and models, environments, and the right to write blobs, in the
    order in which one needs the other. A workspace that can't be reached is the only finding."""
    document = read_document(bundle / "pipeline.yml", InputError, "pipeline").value
    try:
        with asking(f"workspace {client.workspace_name!r}"):
            workspace = client.workspaces.get(client.workspace_name)
    except AzdistillError as problem:
        yield Check("workspace", "wrong", str(problem))
        return
    yield Check("workspace", "ok", f"{workspace.name} in {workspace.location}")
    yield from _computes(client, document, workspace.location)
    yield from _connections(client, bundle)
    yield from _assets(client, document)
    yield from _environments(bundle)
    yield _writing(client)


def stop_at_wrong(found: Iterable[Check]) -> list[Check]:
    """The checks, when none is wrong. Raises InputError, one line a finding."""
    checks = list(found)
    if wrong := [check for check in checks if check.state == "wrong"]:
        raise InputError("\n".join(map(str, wrong)))
    return checks


def _looked_up(what: str, get: Callable[[], Any], missing: str) -> tuple[Any, Check | None]:
    """What is there, or the finding that it is not."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with asking(what):
            try:
                return get(), None
            except ResourceNotFoundError:
                return None, Check(what, "wrong", "the workspace has none of that name", missing)
    except AzdistillError as problem:
        return None, Check(what, "unknown", str(problem))


def _computes(client: "MLClient", document: Mapping[str, Any], region: str) -> Iterator[Check]:
    wanted: dict[tuple[str, str | None], int] = {}
    for node in document["jobs"].values():
        resources = node.get("resources", {})
        key = str(node["compute"]).removeprefix("azureml:"), resources.get("instance_type")
        wanted[key] = max(wanted.get(key, 0), int(resources.get("instance_count", 1)))
    for (name, size), count in wanted.items():
        yield _serverless(client, size, count, region) if name == SERVERLESS else _cluster(client, name)


def _cluster(client: "MLClient", name: str) -> Check:
    what = f"compute {name!r}"
    missing = f"create it: az ml compute create --type AmlCompute --name {name} --min-instances 0"
    compute, problem = _looked_up(what, lambda: client.compute.get(name), missing)
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
        return Check(what, "wrong", f"{region} has no such VM size", "name another one in compute.*_instance_type")
    usage = usages.get(str(found.family).lower())
    if usage is None:
        return Check(what, "unknown", f"{region} tells no quota of family {found.family}")
    left, needed = usage.limit - usage.current, _cores(found) * count
    told = f"{left} of {usage.limit} cores of {found.family} are left in {region}, and {count} of it take {needed}"
    return Check(what, "ok", told) if left >= needed else Check(what, "wrong", told, "ask for quota, or another size")


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
    missing = f"create it with endpoint and api_key: az ml connection create --name {name} -f connection.yml"
    connection, problem = _looked_up(what, lambda: client.connections.get(name), missing)
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
            kind = client.models if str(port["type"]).endswith("_model") else client.data
            get = _getter(kind, found["name"], found["version"], label="@" in port["path"])
            missing = "register it, or correct its name and version"
            _, problem = _looked_up(f"inputs.{name} {port['path']!r}", get, missing)
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


def _writing(client: "MLClient") -> Check:
    """Whether the one who submits may write where the code goes: by a key of the store, or by a role."""
    what = "default datastore"
    store, problem = _looked_up(what, lambda: client.datastores.get_default(include_secrets=True), "see the workspace")
    if problem:
        return problem
    if getattr(store.credentials, "account_key", None) or getattr(store.credentials, "sas_token", None):
        return Check(what, "ok", f"{store.name}, by its own key")
    return Check(
        what,
        "unknown",
        f"{store.name} has no key, so what is uploaded is written with your own identity",
        f"it needs the role '{WRITER}' on storage account {store.account_name}",
    )
