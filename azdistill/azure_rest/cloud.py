"""The Azure cloud that a job runs in: its management address and its sign-in host."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from azdistill.contracts.errors import InputError

# Azure ML sets it in every job. azure-ai-ml and azureml-mlflow read it, too.
CLOUD_VARIABLE = "AZUREML_CURRENT_CLOUD"
# URLs of the region's services, which Azure ML sets in a job.
SERVICE_VARIABLES = ("AZUREML_SERVICE_ENDPOINT", "MLFLOW_TRACKING_URI")
AUTHORITY_VARIABLE = "AZURE_AUTHORITY_HOST"


@dataclass(frozen=True)
class Cloud:
    """A cloud by the name that `az cloud list` shows.

    `management` is the address of Azure Resource Manager, `authority` the host of Entra ID, `services` the domain of
    Azure ML's services in a region, and `endpoints` that of model endpoints. Sources:
    `azure.ai.ml._azure_environments`, `azure.identity`, "Use a workspace with a custom DNS server".
    """

    name: str
    management: str
    authority: str
    services: str
    endpoints: str

    @property
    def scope(self) -> str:
        """Scope of a token for Azure Resource Manager."""
        return f"{self.management}/.default"


PUBLIC = Cloud("AzureCloud", "https://management.azure.com", "login.microsoftonline.com", "api.azureml.ms", "azure.com")
US_GOVERNMENT = Cloud(
    "AzureUSGovernment",
    "https://management.usgovcloudapi.net",
    "login.microsoftonline.us",
    "api.ml.azure.us",
    "azure.us",
)
CHINA = Cloud(
    "AzureChinaCloud",
    "https://management.chinacloudapi.cn",
    "login.chinacloudapi.cn",
    "api.ml.azure.cn",
    "azure.cn",
)
CLOUDS = (PUBLIC, US_GOVERNMENT, CHINA)


def cloud_of(environ: Mapping[str, str]) -> Cloud:
    """The cloud that the environment of a job names, else that of its service URLs, else the public cloud.

    Raises InputError for the name of another cloud.
    """
    if name := environ.get(CLOUD_VARIABLE):
        cloud = next((cloud for cloud in CLOUDS if cloud.name.casefold() == name.casefold()), None)
        if cloud is None:
            raise InputError(
                f"{CLOUD_VARIABLE}={name!r} is no known cloud",
                code="unknown_cloud",
                subject="cloud",
                fix=f"set it to {', '.join(cloud.name for cloud in CLOUDS)}",
            )
        return cloud
    hosts = [urlsplit(environ.get(variable, "")).hostname or "" for variable in SERVICE_VARIABLES]
    return next((cloud for cloud in CLOUDS for host in hosts if host.endswith(f".{cloud.services}")), PUBLIC)
