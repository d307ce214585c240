"""Environment of a process that runs as a job in the simulated workspace."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.workspace.credential import run_token
from tests.workspace.proxy import redirecting_proxy
from tests.workspace.resources.identity import MANAGED, ON_BEHALF_OF, SECRET
from tests.workspace.routes import DATA_PLANE, MANAGEMENT
from tests.workspace.server import serving
from tests.workspace.simulated import SimulatedWorkspace

CLIENT = "33333333-3333-3333-3333-333333333333"
IDENTITIES = ("managed identity", "on behalf of")


@dataclass(frozen=True)
class JobProcess:
    """A process of a job. `proxy` are variables that redirect hosts, `address` ("127.0.0.1:port") is the workspace."""

    workspace: SimulatedWorkspace
    address: str
    proxy: Mapping[str, str]

    def environ(self, identity: str = "managed identity", run: str = "run-1") -> dict[str, str]:
        """Variables that Azure ML sets for a job with one of IDENTITIES."""
        return {
            **self.proxy,
            "AZUREML_ARM_SUBSCRIPTION": self.workspace.subscription,
            "AZUREML_ARM_RESOURCEGROUP": self.workspace.group,
            "AZUREML_ARM_WORKSPACE_NAME": self.workspace.name,
            "AZUREML_CURRENT_CLOUD": self.workspace.cloud.name,
            "AZUREML_RUN_ID": run,
            "MLFLOW_RUN_ID": run,
            **self._identity(identity),
        }

    def tracking(self, token_s: int = 3600) -> dict[str, str]:
        """Variables with which MLflow logs to the workspace. The token expires after `token_s` seconds."""
        return {
            "MLFLOW_TRACKING_URI": f"azureml://{DATA_PLANE}/mlflow/v1.0{self.workspace.arm_id}",
            "MLFLOW_TRACKING_TOKEN": run_token(token_s),
            "MLFLOW_EXPERIMENT_ID": "22222222-2222-2222-2222-222222222222",
            "REQUESTS_CA_BUNDLE": self.proxy["SSL_CERT_FILE"],
        }

    def _identity(self, name: str) -> dict[str, str]:
        if name == "on behalf of":
            return {"OBO_ENDPOINT": f"http://{self.address}{ON_BEHALF_OF}"}
        managed = {"MSI_ENDPOINT": f"http://{self.address}{MANAGED}", "MSI_SECRET": SECRET}
        return {**managed, "DEFAULT_IDENTITY_CLIENT_ID": CLIENT}


@contextlib.contextmanager
def job_process(
    workspace: SimulatedWorkspace, folder: Path, hosts: Mapping[str, str] | None = None, password: str = ""
) -> Iterator[JobProcess]:
    """A job in `workspace`. Each of `hosts` is redirected to an address ("127.0.0.1:port"), others cannot be reached.

    With the address "" a host of the workspace cannot be reached either. The proxy's certificate is written to
    `folder`; `password` is part of the proxy's URL.
    """
    with serving(workspace) as address:
        folder.mkdir(parents=True, exist_ok=True)
        own = workspace.cloud.own
        redirected = {own(MANAGEMENT): address, own(DATA_PLANE): address, **(hosts or {})}
        reachable = {host: target for host, target in redirected.items() if target}
        with redirecting_proxy(folder, reachable, password) as proxy:
            yield JobProcess(workspace, address, proxy)
