"""Datastores on containers in Azurite, with the account's key or without a credential."""

from typing import TYPE_CHECKING, Any

from tests.workspace.azurite import ACCOUNT
from tests.workspace.blobs import Blobs
from tests.workspace.pages import page
from tests.workspace.resources.frame import resource
from tests.workspace.routes import arm
from tests.workspace.wire import ArmError, Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

API_VERSIONS = ("2024-10-01", "2024-10-01-preview")
BLOB_STORE = "workspaceblobstore"
ARTIFACT_STORE = "workspaceartifactstore"


class Datastores:
    """`containers`: name of a datastore -> container. `accounts`: storage accounts other than the simulated one, by
    name of a datastore. With `identity` they need the caller's own token. Those of `one_lake` are on OneLake."""

    def __init__(self, blobs: Blobs, workspace_id: str) -> None:
        self.identity = False
        self.accounts: dict[str, str] = {}
        self.one_lake: set[str] = set()
        self.containers = {
            BLOB_STORE: f"azureml-blobstore-{workspace_id}",
            ARTIFACT_STORE: f"azureml-{workspace_id}",
        }
        for container in self.containers.values():
            blobs.create(container)

    def properties(self, name: str) -> dict[str, Any]:
        if name in self.one_lake:
            return {
                "datastoreType": "OneLake",
                "oneLakeWorkspaceName": "fabric",
                "artifact": {"artifactType": "LakeHouse", "artifactName": "lake"},
                "credentials": {"credentialsType": "None"},
                "isDefault": False,
            }
        return {
            "datastoreType": "AzureBlob",
            "accountName": self.accounts.get(name, ACCOUNT),
            "containerName": self.containers[name],
            "endpoint": "core.windows.net",
            "protocol": "https",
            "credentials": {"credentialsType": "None" if self.identity else "AccountKey"},
            "serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity" if self.identity else "None",
            "isDefault": name == BLOB_STORE,
            "tags": {},
            "properties": {},
        }


def _resource(workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
    if name not in workspace.datastores.containers:
        raise not_found("datastore", name)
    return resource(workspace, f"datastores/{name}", workspace.datastores.properties(name))


@arm("GET", "/datastores/{name}", *API_VERSIONS)
def datastore(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    return Reply(body=_resource(workspace, request.names["name"]))


@arm("GET", "/datastores", API_VERSIONS[-1])
def datastores(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    stores = [_resource(workspace, name) for name in workspace.datastores.containers]
    if request.query.get("isDefault", "").lower() == "true":
        stores = [store for store in stores if store["properties"]["isDefault"]]
    return page(request, stores, workspace.page_size)


@arm("POST", "/datastores/{name}/listSecrets", *API_VERSIONS)
def list_secrets(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    if workspace.datastores.identity:
        raise ArmError(400, "UserError", "The datastore has no credentials: it needs the caller's identity.")
    return Reply(body={"secretsType": "AccountKey", "key": workspace.blobs.azurite.key})
