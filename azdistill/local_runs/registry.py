"""The model registry of a local run, checked before the teacher is paid."""

import logging
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

from azdistill.azure_rest.blobs import BlobContainer
from azdistill.azure_rest.identity import ambient_credential
from azdistill.azure_rest.workspace import Workspace, workspace_of_tracking_uri
from azdistill.contracts.errors import InputError
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.variables import TRACKING_URI
from azdistill.engine.redaction import quote, redact

TIMEOUT_S = 10.0


def check_registry(options: RunOptions, environ: Mapping[str, str] = os.environ) -> None:
    """Raise AzdistillError if the registry in MLFLOW_TRACKING_URI cannot be reached: the storage of a workspace, or a
    server of MLflow. Registries on this machine and those of other plugins are not checked.
    """
    variables = {**environ, **options.variables}
    uri = variables.get(TRACKING_URI, "")
    if uri.startswith("azureml:"):
        _check_workspace(uri, variables)
    elif uri.startswith(("http://", "https://")):
        _check_server(uri)


def _check_workspace(uri: str, variables: Mapping[str, str]) -> None:
    names = workspace_of_tracking_uri(uri)
    if not names:
        raise InputError(
            "it is no tracking URI of a workspace",
            code="wrong_tracking_uri",
            subject=f"{TRACKING_URI}={redact(uri)!r}",
            fix="copy it from the workspace",
            command="az ml workspace show --name NAME --resource-group GROUP --query mlflow_tracking_uri --output tsv",
        )
    # It warns in ten lines about what our error says in one.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
    with BlobContainer(Workspace({**variables, **names}, ambient_credential(variables))) as container:
        container.check_access()


def _check_server(uri: str) -> None:
    """Any HTTP response is enough: MLflow has its own settings for users and certificates."""
    try:
        with urllib.request.urlopen(redact(uri), timeout=TIMEOUT_S):  # without a user, which urllib takes for the host
            pass
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        if not isinstance(reason, ssl.SSLError):
            raise InputError(
                f"cannot be reached ({quote(str(reason))})",
                code="unreachable",
                subject=f"MLflow server {redact(uri)!r}",
                fix=f"start it, or unset {TRACKING_URI}",
            ) from None
