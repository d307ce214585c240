"""The workspace resource, its clusters, and VM sizes and quota of its region."""

from typing import TYPE_CHECKING, Any

from tests.workspace.pages import page
from tests.workspace.routes import DATA_PLANE, REGION, arm, data_plane, location
from tests.workspace.wire import Reply, Request, not_found

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace


class Computes:
    """`sizes`: VM size by name of a cluster. `quota`: cores in use and limit, by VM family and for spot.
    `spot_offered`: whether a VM size is offered as spot, by default true. `types`, `states` and `max_nodes`: by
    name of a cluster, by default AmlCompute, Running and 4. Only a compute instance has a state."""

    def __init__(self) -> None:
        self.sizes = {"cpu-cluster": "STANDARD_E4S_V3", "gpu-cluster": "STANDARD_NC24ADS_A100_V4"}
        self.quota = {"standardNCADSA100v4Family": (0, 48), "standardESv3Family": (4, 100)}
        self.quota["standardNCASv3_T4Family"] = (0, 8)
        self.quota["TotalLowPriorityCores"] = (0, 48)
        self.spot_offered: dict[str, bool] = {}
        self.types: dict[str, str] = {}
        self.states: dict[str, str] = {}
        self.max_nodes: dict[str, int] = {}

    def resource(self, workspace: "SimulatedWorkspace", name: str) -> dict[str, Any]:
        nodes = self.max_nodes.get(name, 4)
        scale = {"minNodeCount": 0, "maxNodeCount": nodes, "nodeIdleTimeBeforeScaleDown": "PT2M"}
        kind, size = self.types.get(name, "AmlCompute"), {"vmSize": self.sizes[name]}
        own: dict[str, Any] = {**size, "vmPriority": "Dedicated", "scaleSettings": scale}
        if kind == "ComputeInstance":
            own = {**size, "state": self.states.get(name, "Running")}
        return {
            "id": f"{workspace.arm_id}/computes/{name}",
            "name": name,
            "type": "Microsoft.MachineLearningServices/workspaces/computes",
            "location": REGION,
            "identity": workspace.managed_identities.of_compute(name).body(workspace.group_id),
            "properties": {
                "computeType": kind,
                "provisioningState": "Succeeded",
                "properties": own,
            },
        }


@arm("GET", "", "2024-10-01-preview", "2023-08-01-preview")
def workspace_itself(workspace: "SimulatedWorkspace", _: Request) -> Reply:
    providers = f"{workspace.group_id}/providers"
    return Reply(
        body={
            "id": workspace.arm_id,
            "name": workspace.name,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": REGION,
            "kind": "Default",
            "identity": workspace.managed_identities.workspace.body(workspace.group_id),
            "properties": {
                "friendlyName": workspace.name,
                "workspaceId": workspace.workspace_id,
                "discoveryUrl": f"https://{DATA_PLANE}/discovery",
                "mlFlowTrackingUri": f"azureml://{DATA_PLANE}/mlflow/v1.0{workspace.arm_id}",
                "storageAccount": workspace.storage_id,
                "containerRegistry": workspace.container_registry_id if workspace.has_container_registry else None,
                "keyVault": f"{providers}/Microsoft.KeyVault/vaults/simulated",
                "applicationInsights": f"{providers}/microsoft.insights/components/simulated",
                "provisioningState": "Succeeded",
                "publicNetworkAccess": "Enabled",
            },
        }
    )


@data_plane("GET", "/discovery", audiences=())
def discovery(_workspace: "SimulatedWorkspace", _request: Request) -> Reply:
    """URLs of the data plane. All services have the same, as in most regions."""
    return Reply(body=dict.fromkeys(("api", "history", "modelmanagement"), f"https://{DATA_PLANE}"))


@arm("GET", "/computes/{name}", "2023-08-01-preview")
def compute(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    name = request.names["name"]
    if name not in workspace.computes.sizes:
        raise not_found("compute", name)
    return Reply(body=workspace.computes.resource(workspace, name))


@arm("GET", "/computes", "2023-08-01-preview")
def computes(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    known = [workspace.computes.resource(workspace, name) for name in workspace.computes.sizes]
    return page(request, known, workspace.page_size)


@location("GET", "/usages", "2023-08-01-preview")
def usages(workspace: "SimulatedWorkspace", request: Request) -> Reply:
    """Cores in use and limit, by VM family."""
    items = [
        {
            "id": f"/subscriptions/{workspace.subscription}/locations/{REGION}/usages/{family}",
            "type": "Microsoft.MachineLearningServices/vmFamily/usages",
            "unit": "Count",
            "currentValue": used,
            "limit": limit,
            "name": {"value": family, "localizedValue": family},
        }
        for family, (used, limit) in workspace.computes.quota.items()
    ]
    return page(request, items, workspace.page_size)


@location("GET", "/vmSizes", "2023-08-01-preview")
def vm_sizes(workspace: "SimulatedWorkspace", _request: Request) -> Reply:
    sizes = [
        ("Standard_NC24ads_A100_v4", "standardNCADSA100v4Family", 24, 1),
        ("Standard_NC48ads_A100_v4", "standardNCADSA100v4Family", 48, 2),
        ("Standard_NC4as_T4_v3", "standardNCASv3_T4Family", 4, 1),
        ("Standard_E4s_v3", "standardESv3Family", 4, 0),
    ]
    return Reply(
        body={
            "value": [
                {
                    "name": name,
                    "family": family,
                    "vCPUs": cores,
                    "gpus": gpus,
                    "lowPriorityCapable": workspace.computes.spot_offered.get(name, True),
                    "supportedComputeTypes": ["AmlCompute"],
                }
                for name, family, cores, gpus in sizes
            ]
        }
    )
