"""Install the pinned `ml` extension of the Azure CLI."""

from scripts.cd.az import AzureCli
from scripts.cd.errors import AzNotFound

# Read the release notes of the extension before you raise it. 2.45.0 is reported to end `az ml job create --stream`
# with an error; the verbs do not stream.
ML_VERSION = "2.44.1"


def set_up(az: AzureCli, version: str) -> None:
    """Have exactly this version. Without dynamic installs, a command of a missing extension fails."""
    az("config", "set", "extension.use_dynamic_install=no")
    try:
        installed = (az("extension", "show", "--name", "ml", assume={}) or {}).get("version")
    except AzNotFound:
        installed = None
    if installed == version:
        az.report(f"ml {version}: already installed")
        return
    if installed:
        az("extension", "remove", "--name", "ml")
    az("extension", "add", "--name", "ml", "--version", version, "--yes")
    az.report(f"ml {version}: installed")
