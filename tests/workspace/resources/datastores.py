"""Datastores over containers in Azurite: with a key, or without any credential of their own."""

from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.blobs import Blobs
from tests.workspace.pages import page
from tests.workspace.resources.stamp import resource
from tests.workspace.routes import arm
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.stand_in import Workspace

API_VERSION = "2024-10-01-preview"
BLOB_STORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"


class Datastores:
    """Name -> container. With `identity`, the caller's own token is what opens them."""

    def __init__(self, blobs: Blobs, workspace_id: str) -> None:
        self.identity = False
        self.containers = {
            BLOB_STORE: f"azureml-blobstore-{workspace_id}",
            ARTIFACT_STORE: f"azureml-{workspace_id}",
        }
        for container in self.containers.values():
            blobs.create(container)

    def properties(self, name: str) -> dict[str, Any]:
        return {
            "datastoreType": "AzureBlob",
            "accountName": ACCOUNT,
            "containerName": self.containers[name],
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentials": {"credentialsType": "None" if self.identity else "AccountKey"},
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity" if self.identity else "None",
            "isDefault": name == BLOB_STORE,
            "tags": {},
            "properties": {},
        }


def _resource(workspace: "Workspace", name: str) -> dict[str, Any]:
    if name not in workspace.datastores.containers:
        raise not_found("datastore", name)
    return resource(workspace, f"datastores/{name}", workspace.datastores.properties(name))


@arm("GET", "/datastores/{name}", API_VERSION)
def datastore(workspace: "Workspace", request: Request) -> Reply:
    return Reply(body=_resource(workspace, request.names["name"]))


@arm("GET", "/datastores", API_VERSION)
def datastores(workspace: "Workspace", request: Request) -> Reply:
    found = [_resource(workspace, name) for name in workspace.datastores.containers]
    if request.query.get("isDefault", "").lower() == "true":
        found = [store for store in found if store["properties"]["isDefault"]]
    return page(request, found, workspace.page_size)


@arm("POST", "/datastores/{name}/listSecrets", API_VERSION)
def list_secrets(workspace: "Workspace", request: Request) -> Reply:
    if workspace.datastores.identity:
        raise ArmError(400, "UserError", "The datastore has no credentials: it is opened with the caller's identity.")
    return Reply(body={"secretsType": "AccountKey", "key": workspace.blobs.azurite.key})
