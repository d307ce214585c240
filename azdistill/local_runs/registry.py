"""The workspace in which a local run registers its student, checked before the teacher is paid."""

import os
from collections.abc import Mapping

from azdistill.azure_rest.blobs import BlobContainer
from azdistill.azure_rest.identity import ambient_credential
from azdistill.azure_rest.workspace import Workspace, workspace_of_tracking_uri
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.variables import TRACKING_URI


def check_registry(options: RunOptions, environ: Mapping[str, str] = os.environ) -> None:
    """Raise AzdistillError if MLFLOW_TRACKING_URI is that of a workspace whose storage cannot be read from here."""
    variables = {**environ, **options.variables}
    if names := workspace_of_tracking_uri(variables.get(TRACKING_URI, "")):
        with BlobContainer(Workspace({**variables, **names}, ambient_credential(variables))) as container:
            container.check_access()
