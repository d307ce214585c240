"""Versioned assets: codes, environments, components, data and models. Each is kept as it was sent."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.pages import page
from tests.workspace.resources.stamp import resource
from tests.workspace.routes import arm
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

API_VERSIONS = {
    "codes": "2023-04-01",
    "environments": "2023-04-01-preview",
    "components": "2024-01-01-preview",
    "data": "2023-04-01-preview",
    "models": "2023-08-01-preview",
}
OF_A_STEP = {"models": "2024-10-01"}
"""With what a step in a job asks: the stable version."""
MADE_OF = {
    "codes": ("codeUri",),
    "environments": ("image", "condaFile", "build"),
    "components": ("componentSpec",),
    "data": ("dataUri",),
    "models": ("modelUri",),
}
"""What of a version never changes."""
ALWAYS_THERE: dict[str, dict[str, Any]] = {"models": {"flavors": {}}}
"""What the service fills in, and the client's reading needs."""


class Assets:
    """(kind, name) -> version -> properties, oldest first."""

    def __init__(self) -> None:
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}

    def put(self, kind: str, name: str, version: str, properties: Any) -> int:
        """Keep a version; returns the HTTP status. Raises ArmError where it is there, made of something else."""
        kept = self.versions.setdefault((kind, name), {})
        before = kept.get(version)
        if before is not None and any(before.get(key) != properties.get(key) for key in MADE_OF[kind]):
            raise ArmError(409 if kind == "environments" else 400, "UserError", "Asset paths cannot be updated.")
        kept[version] = properties
        return 200 if before is not None else 201

    def get(self, kind: str, name: str, version: str) -> Any:
        if version not in self.versions.get((kind, name), {}):
            raise not_found(kind, f"{name}:{version}")
        return self.versions[(kind, name)][version]

    def of(self, kind: str) -> dict[str, Any]:
        """name:version -> properties, of every asset of a kind."""
        return {
            f"{name}:{version}": properties
            for name in self.names(kind)
            for version, properties in self.versions[(kind, name)].items()
        }

    def names(self, kind: str) -> list[str]:
        return [name for its_kind, name in self.versions if its_kind == kind]

    def with_hash(self, digest: str) -> list[tuple[str, str]]:
        """Name and version of the codes whose content has this hash."""
        found = [code for code, properties in self.of("codes").items() if _hash(properties) == digest]
        return [(name, version) for name, _, version in (code.partition(":") for code in found)]


def _hash(properties: Mapping[str, Any]) -> Any:
    return (properties.get("properties") or {}).get("hash_sha256")


def _version(workspace: "Workspace", kind: str, name: str, version: str) -> dict[str, Any]:
    properties = {**ALWAYS_THERE.get(kind, {}), **workspace.assets.get(kind, name, version)}
    body = resource(workspace, f"{kind}/{name}/versions/{version}", properties)
    return {**body, "name": version}


def _container(workspace: "Workspace", kind: str, name: str) -> dict[str, Any]:
    """An asset by its name alone: which version is the latest, and which comes next."""
    kept = list(workspace.assets.versions.get((kind, name), ()))
    if not kept:
        raise not_found(kind, name)
    properties = {"latestVersion": kept[-1], "nextVersion": str(len(kept) + 1), "isArchived": False}
    return resource(workspace, f"{kind}/{name}", properties)


def _enter_versions(kind: str, *api_versions: str) -> None:
    """The requests for versions, which every kind of asset has."""

    @arm("PUT", f"/{kind}/{{name}}/versions/{{version}}", *api_versions)
    def put(workspace: "Workspace", request: Request) -> Reply:
        name, version = request.names["name"], request.names["version"]
        status = workspace.assets.put(kind, name, version, request.body["properties"])
        return Reply(status, _version(workspace, kind, name, version))

    @arm("GET", f"/{kind}/{{name}}/versions/{{version}}", *api_versions)
    def get(workspace: "Workspace", request: Request) -> Reply:
        return Reply(body=_version(workspace, kind, request.names["name"], request.names["version"]))

    @arm("GET", f"/{kind}/{{name}}/versions", *api_versions)
    def versions(workspace: "Workspace", request: Request) -> Reply:
        """Newest first. A code is looked up by its content's hash, whatever name is asked."""
        name = request.names["name"]
        found = [(name, version) for version in reversed(workspace.assets.versions.get((kind, name), {}))]
        if "hash" in request.query:
            found = workspace.assets.with_hash(request.query["hash"])
        found = found[: int(request.query.get("$top", len(found)))]
        return page(request, [_version(workspace, kind, *one) for one in found], workspace.page_size)


def _enter_list(kind: str, api_version: str) -> None:
    @arm("GET", f"/{kind}", api_version)
    def containers(workspace: "Workspace", request: Request) -> Reply:
        found = [_container(workspace, kind, name) for name in workspace.assets.names(kind)]
        return page(request, found, workspace.page_size)


def _enter_name(kind: str, api_version: str) -> None:
    @arm("GET", f"/{kind}/{{name}}", api_version)
    def container(workspace: "Workspace", request: Request) -> Reply:
        return Reply(body=_container(workspace, kind, request.names["name"]))


for _kind, _api_version in API_VERSIONS.items():
    _enter_versions(_kind, *filter(None, (_api_version, OF_A_STEP.get(_kind))))
    if _kind != "codes":
        _enter_list(_kind, _api_version)
    if _kind in {"environments", "data", "models"}:
        _enter_name(_kind, _api_version)


@arm("POST", "/codes/{name}/versions/{version}/startPendingUpload", API_VERSIONS["codes"])
def start_pending_upload(workspace: "Workspace", request: Request) -> Reply:
    """A container of its own for a code, and the token that opens it."""
    container = request.names["name"]
    group = workspace.arm_id.split("/providers/")[0]
    workspace.blobs.create(container)
    return Reply(
        body={
            "pendingUploadId": container,
            "pendingUploadType": "TemporaryBlobReference",
            "blobReferenceForConsumption": {
                "blobUri": f"https://{ACCOUNT}.blob.core.windows.net/{container}",
                "storageAccountArmId": f"{group}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}",
                "credential": {"credentialType": "SAS", "sasUri": workspace.blobs.url(container)},
            },
        }
    )
