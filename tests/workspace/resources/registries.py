"""Registries: found by discovery, and asked at an address of their own, where each change is a long-running operation.

Their assets are kept as those of a workspace are. Each has a container of its own in the storage account.
"""

import uuid
from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.pages import page
from tests.workspace.resources.assets import ALWAYS_THERE, Assets
from tests.workspace.resources.stamp import SYSTEM_DATA
from tests.workspace.routes import REGION, REGISTRY_PLANE, discovery, registry
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

API_VERSION = "2021-10-01-dataplanepreview"
DISCOVERY_VERSION = "v1.0"


class Registries:
    """Name -> its assets. `azureml` is there, as every subscription finds it, with one model."""

    def __init__(self) -> None:
        self.kept: dict[str, Assets] = {}
        uri = f"https://{ACCOUNT}.blob.core.windows.net/azureml/Phi-4-mini-instruct"
        model = {"modelType": "custom_model", "modelUri": uri}
        self.create("azureml").put("models", "Phi-4-mini-instruct", "1", model)

    def __getitem__(self, name: str) -> Assets:
        return self.kept[self.named(name)]

    def named(self, name: str) -> str:
        """The name itself. Raises ArmError where no registry has it."""
        if name not in self.kept:
            raise not_found("registry", name)
        return name

    def create(self, name: str) -> Assets:
        self.kept[name] = Assets()
        return self.kept[name]


def _id(request: Request, kind: str, version: str) -> str:
    return f"azureml://registries/{request.names['registry']}/{kind}/{request.names['name']}/versions/{version}"


def _version(workspace: "Workspace", request: Request, kind: str, version: str) -> dict[str, Any]:
    assets = workspace.registries[request.names["registry"]]
    properties = {**ALWAYS_THERE.get(kind, {}), **assets.get(kind, request.names["name"], version)}
    return {"id": _id(request, kind, version), "name": version, "systemData": SYSTEM_DATA, "properties": properties}


@discovery("GET", "/registrymanagement/v1.0/registries/{registry}/discovery", DISCOVERY_VERSION)
def discovered(workspace: "Workspace", request: Request) -> Reply:
    """Where a registry is, and whose. Any region's service is asked; the client asks that of East US."""
    name = workspace.registries.named(request.names["registry"])
    return Reply(
        body={
            "registryName": name,
            "primaryRegion": REGION,
            "regions": [REGION],
            "subscriptionId": workspace.subscription,
            "resourceGroup": workspace.group,
            "primaryRegionResourceProviderUri": f"https://{REGISTRY_PLANE}/",
        }
    )


def _enter_put(kind: str) -> None:
    @registry("PUT", f"/{kind}/{{name}}/versions/{{version}}", API_VERSION)
    def put(workspace: "Workspace", request: Request) -> Reply:
        """Taken, and there once the operation is done."""
        assets, properties = workspace.registries[request.names["registry"]], request.body["properties"]
        name, version = request.names["name"], request.names["version"]
        operation = workspace.operations.begin(lambda: assets.put(kind, name, version, properties))
        return Reply(202, headers=workspace.operations.in_registry(operation))


def _enter_get(kind: str) -> None:
    @registry("GET", f"/{kind}/{{name}}/versions/{{version}}", API_VERSION)
    def get(workspace: "Workspace", request: Request) -> Reply:
        return Reply(body=_version(workspace, request, kind, request.names["version"]))


for _kind in ("codes", "environments", "components"):
    _enter_put(_kind)
for _kind in ("codes", "environments", "components", "models"):
    _enter_get(_kind)


@registry("GET", "/models/{name}/versions", API_VERSION)
def versions(workspace: "Workspace", request: Request) -> Reply:
    """Newest first."""
    assets = workspace.registries[request.names["registry"]]
    found = list(reversed(assets.versions.get(("models", request.names["name"]), {})))
    return page(request, [_version(workspace, request, "models", one) for one in found], workspace.page_size)


@registry("PUT", "/tempdatarefs/{name}/versions/{version}", API_VERSION)
def temporary_data_reference(workspace: "Workspace", request: Request) -> Reply:
    """A container of its own for what is uploaded, and the token that opens it."""
    container = f"{request.names['registry']}-{uuid.uuid4()}"
    workspace.blobs.create(container)
    return Reply(
        body={
            "blobReferenceForConsumption": {
                "blobUri": f"https://{ACCOUNT}.blob.core.windows.net/{container}",
                "credential": {"credentialType": "SAS", "sasUri": workspace.blobs.url(container)},
            }
        }
    )
