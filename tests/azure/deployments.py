"""A job with a deployment, its model in the simulated workspace, and its rollout."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.deployment.files import Release, release_of, write_files
from azdistill.azure.deployment.rollout import roll_out
from azdistill.azure.deployment.smoke import SmokeRow
from azdistill.contracts.rows import Message
from azdistill.job.model import DistillationJob

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.resources.online_endpoints import SimulatedEndpoint
    from tests.workspace.simulated import SimulatedWorkspace

# The server of the simulated workspace repeats the last message.
ROWS = [
    SmokeRow(f"{number}", (Message(role="user", content=f"row {number}"),), f"You said:  row {number}\n")
    for number in range(4)
]


def job_with(**deployment: Any) -> DistillationJob:
    """A job whose deployment waits for nothing. Keyword arguments replace fields of the section."""
    return DistillationJob.model_validate(
        {
            "name": "support",
            "task": "qa",
            "data": {"training_data": "azureml:rows:1"},
            "teacher": {"teachers": [{"model": "m", "connection": "deepseek"}]},
            "student": {"model": "phi-4-mini"},
            "deployment": {"endpoint_name": "support", "step_minutes": 0, **deployment},
        }
    )


def release(version: str = "1", **deployment: Any) -> Release:
    return release_of(job_with(**deployment), f"azureml:support:{version}")


def _no_sleep(_: float) -> None:
    """The deployment of a test is checked at once."""


@dataclass
class Deployments:
    """Rollouts in a simulated workspace, which has versions 1 to 3 of model support."""

    client: "MLClient"
    workspace: "SimulatedWorkspace"
    folder: Path
    rows: list[SmokeRow] = field(default_factory=lambda: list(ROWS))
    sleep: Callable[[float], None] = _no_sleep

    def __post_init__(self) -> None:
        self.workspace.operations.polls = 0  # an operation ends at the first look at it
        for version in ("1", "2", "3"):
            uri = f"azureml://datastores/workspaceblobstore/paths/models/{version}"
            properties = {"modelType": "custom_model", "modelUri": uri}
            self.workspace.assets.put("models", "support", version, properties)

    def start(self, version: str = "1", *, take_over: bool = False, **deployment: Any) -> Generator[str, None, None]:
        released = release(version, **deployment)
        folder = self.folder / released.content
        write_files(released, folder)
        return roll_out(self.client, released, self.rows, folder, take_over=take_over, sleep=self.sleep)

    def roll_out(self, version: str = "1", **deployment: Any) -> list[str]:
        return list(self.start(version, **deployment))

    @property
    def endpoint(self) -> "SimulatedEndpoint":
        return self.workspace.online["support"]
