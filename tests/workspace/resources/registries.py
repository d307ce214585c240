"""Registries. Discovery gives their URL; each change is a long-running operation.

Their assets are stored as those of a workspace. Uploads go to new containers in the storage account.
"""

import re
import uuid
from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.pages import page
from tests.workspace.resources.assets import ADDED, Assets
from tests.workspace.resources.frame import SYSTEM_DATA
from tests.workspace.routes import REGION, REGISTRY_PLANE, discovery, registry
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

API_VERSION = "2021-10-01-dataplanepreview"
DISCOVERY_VERSION = "v1.0"
# Names in a registry. Source: the models operation of the client 1.35, `_restclient/model_dataplane`.
NAME = re.compile(r"(?![\-_.])[a-zA-Z0-9\-_.]{1,255}(?<!\.)")
# Source: ASSET_ID_FORMAT in the constants of the client 1.35.
SOURCE = re.compile(r"azureml://locations/[^/]+/workspaces/(?P<workspace>[^/]+)/models/(?P<name>.+)/versions/(?P<v>.+)")
# Properties of a version that its copy has. Tags and the job that registered it are those of the workspace.
COPIED = ("modelType", "flavors", "description")


class Registries:
    """Assets by name of the registry. There is `azureml`, which every subscription has, with one model."""

    def __init__(self) -> None:
        self.by_name: dict[str, Assets] = {}
        uri = f"https://{ACCOUNT}.blob.core.windows.net/azureml/Phi-4-mini-instruct"
        model = {"modelType": "mlflow_model", "modelUri": uri}
        self.create("azureml").put("models", "Phi-4-mini-instruct", "1", model)

    def __getitem__(self, name: str) -> Assets:
        return self.by_name[self.existing(name)]

    def existing(self, name: str) -> str:
        """`name`, if there is such a registry. Raises ArmError if not."""
        if name not in self.by_name:
            raise not_found("registry", name)
        return name

    def create(self, name: str) -> Assets:
        self.by_name[name] = Assets(NAME)
        return self.by_name[name]


def _id(request: Request, kind: str, version: str) -> str:
    return f"azureml://registries/{request.names['registry']}/{kind}/{request.names['name']}/versions/{version}"


def _version(workspace: "SimulatedWorkspace", request: Request, kind: str, version: str) -> dict[str, Any]:
    assets = workspace.registries[request.names["registry"]]
    properties = {**ADDED.get(kind, {}), **assets.get(kind, request.names["name"], version)}
    return {"id": _id(request, kind, version), "name": version, "systemData": SYSTEM_DATA, "properties": properties}


@discovery("GET", "/registrymanagement/v1.0/registries/{registry}/discovery", DISCOVERY_VERSION)
def discovered(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """URL and owner of a registry. Every region has this service; the client uses that of East US."""
    name = workspace.registries.existing(request.names["registry"])
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


def _add_put_route(kind: str) -> None:
    @registry("PUT", f"/{kind}/{{name}}/versions/{{version}}", API_VERSION)
    def put(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        """Accepted; the asset exists when the operation has ended."""
        assets, properties = workspace.registries[request.names["registry"]], request.body["properties"]
        name, version = request.names["name"], request.names["version"]
        operation = workspace.operations.begin(lambda: assets.put(kind, name, version, properties))
        return Reply(202, headers=workspace.operations.in_registry(operation))


def _add_get_route(kind: str) -> None:
    @registry("GET", f"/{kind}/{{name}}/versions/{{version}}", API_VERSION)
    def get(workspace: "SimulatedWorkspace", request: Request) -> Reply:
        return Reply(body=_version(workspace, request, kind, request.names["version"]))


for _kind in ("codes", "environments", "components", "models"):
    _add_put_route(_kind)
    _add_get_route(_kind)


@registry("POST", "/import", API_VERSION)
def import_model(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Copy a model of the workspace. The reply has no body, and the version exists when the operation has ended."""
    assets, properties = workspace.registries[request.names["registry"]], request.body["properties"]
    name, version = properties["destinationName"], properties["destinationVersion"]
    _check_is_free(assets, name, version)

    def copy() -> None:
        _check_is_free(assets, name, version)  # of two imports at the same moment, the second one fails
        assets.put("models", name, version, _copy_of(workspace, properties["sourceAssetId"]))

    return Reply(202, headers=workspace.operations.in_registry(workspace.operations.begin(copy)))


def _check_is_free(assets: "Assets", name: str, version: str) -> None:
    """Raises ArmError if the registry has the version, with whatever content, or has deleted it."""
    if version in assets.versions.get(("models", name), {}):
        raise ArmError(409, "Conflict", f"The model {name}:{version} already exists.")
    if ("models", name, version) in assets.deleted:
        raise ArmError(409, "Conflict", f"The model {name}:{version} was deleted.")


def _copy_of(workspace: "SimulatedWorkspace", asset_id: str) -> dict[str, Any]:
    """Properties of a copy, whose files are in the registry's storage. Raises ArmError if there is no such model."""
    source = SOURCE.fullmatch(asset_id)
    if source is None or source["workspace"] != workspace.workspace_id:
        raise not_found("asset", asset_id)
    model = workspace.assets.get("models", source["name"], source["v"])
    copied = {key: model[key] for key in COPIED if model.get(key)}
    return {**copied, "modelUri": f"https://{ACCOUNT}.blob.core.windows.net/{uuid.uuid4()}/{source['name']}"}


@registry("GET", "/models/{name}/versions", API_VERSION)
def model_versions(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Newest first."""
    assets = workspace.registries[request.names["registry"]]
    newest_first = list(reversed(assets.versions.get(("models", request.names["name"]), {})))
    return page(
        request, [_version(workspace, request, "models", version) for version in newest_first], workspace.page_size
    )


@registry("PUT", "/tempdatarefs/{name}/versions/{version}", API_VERSION)
def temporary_data_reference(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A new container for an upload, and its SAS token. Refused for an asset that exists."""
    kind, name, version = request.body["assetId"].split("/")[4], request.names["name"], request.names["version"]
    if version in workspace.registries[request.names["registry"]].versions.get((kind, name), {}):
        raise ArmError(409, "UserError", f"Asset already exists: {name}:{version}.")
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


@registry("POST", "/datarefs/{name}/versions/{version}", API_VERSION)
def data_reference(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """A SAS token for the container of an asset. The SDK names the blob of the asset in `blobUri`."""
    uri = str(request.body["blobUri"])
    container = uri.split("/")[3]
    return Reply(
        body={
            "blobReferenceForConsumption": {
                "blobUri": uri,
                "credential": {"credentialType": "SAS", "sasUri": workspace.blobs.url(container)},
            }
        }
    )
