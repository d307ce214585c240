"""The fields that every ARM resource has."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.workspace.simulated import SimulatedWorkspace

SYSTEM_DATA = {
    "createdAt": "2026-11-02T09:00:00.000000+00:00",
    "createdBy": "Simulated",
    "createdByType": "User",
    "lastModifiedAt": "2026-11-02T09:00:00.000000+00:00",
}


def resource(workspace: "SimulatedWorkspace", path: str, properties: Any) -> dict[str, Any]:
    """`path` is relative to the workspace: "jobs/NAME", "data/NAME/versions/1"."""
    parts = path.split("/")
    return {
        "id": f"{workspace.arm_id}/{path}",
        "name": parts[-1],
        "type": f"Microsoft.MachineLearningServices/workspaces/{'/'.join(parts[::2])}",
        "systemData": SYSTEM_DATA,
        "properties": properties,
    }
