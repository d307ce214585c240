"""Versioned assets: codes, environments, components, data and models, with the properties that the client sent."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.pages import page
from tests.workspace.resources.frame import resource
from tests.workspace.routes import arm
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

API_VERSIONS = {
    "codes": "2023-04-01",
    "environments": "2023-04-01-preview",
    "components": "2024-01-01-preview",
    "data": "2023-04-01-preview",
    "models": "2023-08-01-preview",
}
# Stable api-versions, which the steps of a job use.
STEP_API_VERSIONS = {"models": "2024-10-01"}
# Names in a workspace. Source: path parameters of the PUT requests in the REST specification, mfe.json of 2024-04-01.
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}")
# Of a model. Source: https://github.com/Azure/azureml-assets/pull/558
LONGEST_DESCRIPTION = 5000
# Properties of a version that cannot change.
FIXED = {
    "codes": ("codeUri",),
    "environments": ("image", "condaFile", "build"),
    "components": ("componentSpec",),
    "data": ("dataUri",),
    "models": ("modelUri",),
}
# Properties that the service adds, and that the client needs.
ADDED: dict[str, dict[str, Any]] = {"models": {"flavors": {}}}


class Assets:
    """(kind, name) -> version -> properties, oldest first. The number of a `deleted` version cannot be used again."""

    def __init__(self, valid_name: re.Pattern[str] = NAME) -> None:
        self.valid_name = valid_name
        self.versions: dict[tuple[str, str], dict[str, Any]] = {}
        self.deleted: set[tuple[str, str, str]] = set()

    def put(self, kind: str, name: str, version: str, properties: Any) -> int:
        """Store a version and return the HTTP status. Raises ArmError when the version has other content already."""
        if not self.valid_name.fullmatch(name):
            raise ArmError(400, "UserError", f"The name {name!r} must match {self.valid_name.pattern}.")
        if kind == "models" and len(properties.get("description") or "") > LONGEST_DESCRIPTION:
            raise ArmError(400, "UserError", f"The description is longer than {LONGEST_DESCRIPTION} characters.")
        if (kind, name, version) in self.deleted:
            raise ArmError(409, "Conflict", f"The version {name}:{version} was deleted.")
        versions = self.versions.setdefault((kind, name), {})
        before = versions.get(version)
        if before is not None and any(before.get(key) != properties.get(key) for key in FIXED[kind]):
            raise ArmError(409 if kind == "environments" else 400, "UserError", "Asset paths cannot be updated.")
        versions[version] = properties
        return 200 if before is not None else 201

    def delete(self, kind: str, name: str, version: str) -> None:
        del self.versions[(kind, name)][version]
        self.deleted.add((kind, name, version))

    def next_version(self, kind: str, name: str) -> str:
        """The next number, after those of deleted versions, too."""
        deleted = [version for *asset, version in self.deleted if asset == [kind, name]]
        numbers = [int(version) for version in (*self.versions[(kind, name)], *deleted) if version.isdigit()]
        return str(max(numbers, default=0) + 1)

    def get(self, kind: str, name: str, version: str) -> Any:
        if version not in self.versions.get((kind, name), {}):
            raise not_found(kind, f"{name}:{version}")
        return self.versions[(kind, name)][version]

    def of(self, kind: str) -> dict[str, Any]:
        """name:version -> properties of all assets of a kind."""
        return {
            f"{name}:{version}": properties
            for name in self.names(kind)
            for version, properties in self.versions[(kind, name)].items()
        }

    def names(self, kind: str) -> list[str]:
        return [name for its_kind, name in self.versions if its_kind == kind]

    def with_hash(self, digest: str) -> list[tuple[str, str]]:
        """Name and version of the codes with this content hash."""
        codes = [code for code, properties in self.of("codes").items() if _hash(properties) == digest]
        return [(name, version) for name, _, version in (code.partition(":") for code in codes)]


def _hash(properties: Mapping[str, Any]) -> Any:
    return (properties.get("properties") or {}).get("hash_sha256")


def _version(workspace: "SimulatedWorkspace", kind: str, name: str, version: str) -> dict[str, Any]:
    properties = {**ADDED.get(kind, {}), **workspace.assets.get(kind, name, version)}
    body = resource(workspace, f"{kind}/{name}/versions/{version}", properties)
    return {**body, "name": version}


def _container(workspace: "SimulatedWorkspace", kind: str, name: str) -> dict[str, Any]:
    """An asset without a version: the latest and the next version."""
    if (kind, name) not in workspace.assets.versions:
        raise not_found(kind, name)
    latest = next(reversed(workspace.assets.versions[(kind, name)]), None)
    next_version = workspace.assets.next_version(kind, name)
    properties = {"latestVersion": latest, "nextVersion": next_version, "isArchived": False}
    return resource(workspace, f"{kind}/{name}", properties)


def _add_version_routes(kind: str, *api_versions: str) -> None:
    """Routes for versions, which every kind of asset has."""

    @arm("PUT", f"/{kind}/{{name}}/versions/{{version}}", *api_versions)
    def put(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        name, version = request.names["name"], request.names["version"]
        status = workspace.assets.put(kind, name, version, request.body["properties"])
        return Reply(status, _version(workspace, kind, name, version))

    @arm("GET", f"/{kind}/{{name}}/versions/{{version}}", *api_versions)
    def get(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        return Reply(body=_version(workspace, kind, request.names["name"], request.names["version"]))

    @arm("GET", f"/{kind}/{{name}}/versions", *api_versions)
    def versions(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        """Newest first. A code is looked up by its content hash, under any name."""
        name = request.names["name"]
        names = [(name, version) for version in reversed(workspace.assets.versions.get((kind, name), {}))]
        if "hash" in request.query:
            names = workspace.assets.with_hash(request.query["hash"])
        names = names[: int(request.query.get("$top", len(names)))]
        return page(request, [_version(workspace, kind, *asset) for asset in names], workspace.page_size)


def _add_list_route(kind: str, api_version: str) -> None:
    @arm("GET", f"/{kind}", api_version)
    def containers(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        assets = [_container(workspace, kind, name) for name in workspace.assets.names(kind)]
        return page(request, assets, workspace.page_size)


def _add_name_route(kind: str, *api_versions: str) -> None:
    @arm("GET", f"/{kind}/{{name}}", *api_versions)
    def container(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        return Reply(body=_container(workspace, kind, request.names["name"]))


for _kind, _api_version in API_VERSIONS.items():
    _api_versions = list(filter(None, (_api_version, STEP_API_VERSIONS.get(_kind))))
    _add_version_routes(_kind, *_api_versions)
    if _kind != "codes":
        _add_list_route(_kind, _api_version)
    if _kind in {"environments", "data", "models"}:
        _add_name_route(_kind, *_api_versions)


@arm("POST", "/codes/{name}/versions/{version}/startPendingUpload", API_VERSIONS["codes"])
def start_pending_upload(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A new container for a code, and its SAS token."""
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
