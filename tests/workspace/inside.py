"""What a process finds that runs as a job in the workspace."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.workspace.resources.identity import MANAGED, ON_BEHALF_OF, SECRET
from tests.workspace.routes import MANAGEMENT
from tests.workspace.server import serving
from tests.workspace.stand_in import Workspace
from tests.workspace.tunnel import tunnel

CLIENT = "33333333-3333-3333-3333-333333333333"
IDENTITIES = ("managed identity", "on behalf of")


@dataclass(frozen=True)
class Job:
    """`address` is the stand-in's ("127.0.0.1:port"), `way` leads to it and to the other hosts."""

    workspace: Workspace
    address: str
    way: Mapping[str, str]

    def environ(self, identity: str = "managed identity", run: str = "run-1") -> dict[str, str]:
        """The variables that Azure ML sets for a job with one of IDENTITIES."""
        return {
            **self.way,
            "AZUREML_ARM_SUBSCRIPTION": self.workspace.subscription,
            "AZUREML_ARM_RESOURCEGROUP": self.workspace.group,
            "AZUREML_ARM_WORKSPACE_NAME": self.workspace.name,
            "AZUREML_RUN_ID": run,
            "MLFLOW_RUN_ID": run,
            **self._identity(identity),
        }

    def _identity(self, name: str) -> dict[str, str]:
        if name == "on behalf of":
            return {"OBO_ENDPOINT": f"http://{self.address}{ON_BEHALF_OF}"}
        managed = {"MSI_ENDPOINT": f"http://{self.address}{MANAGED}", "MSI_SECRET": SECRET}
        return {**managed, "DEFAULT_IDENTITY_CLIENT_ID": CLIENT}


@contextlib.contextmanager
def inside(
    workspace: Workspace, folder: Path, hosts: Mapping[str, str] | None = None, password: str = ""
) -> Iterator[Job]:
    """A job in `workspace` for whom each of `hosts` is at an address ("127.0.0.1:port"), and no other can be reached.

    `folder` takes the tunnel's certificate, `password` goes into the proxy's address.
    """
    with serving(workspace) as address:
        folder.mkdir(parents=True, exist_ok=True)
        with tunnel(folder, {MANAGEMENT: address, **(hosts or {})}, password) as way:
            yield Job(workspace, address, way)
