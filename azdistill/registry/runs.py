"""The MLflow run that tells of a registration, and what may be shown of where it is kept."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from azdistill.azure_rest.identity import HoldsSecret
from azdistill.contracts.errors import AzdistillError
from azdistill.registry.lineage import Lineage


@dataclass(frozen=True)
class JobRun(HoldsSecret):
    """The run that Azure ML opened for the job. `tracking` may hold a password."""

    tracking: str = field(repr=False)
    run_id: str


@contextmanager
def tracking(uri: str) -> Iterator[MlflowClient]:
    """A client of tracking and registry at `uri`; what MLflow raises becomes one line without secrets."""
    _quiet_mlflow()
    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as problem:
        shown = without_secrets(uri)
        reason = str(problem).strip().partition("\n")[0].replace(uri, shown)
        raise AzdistillError(f"model registry {shown!r}: {reason}; check MLFLOW_TRACKING_URI and your access") from None


def describe(client: MlflowClient, run_id: str, lineage: Lineage) -> None:
    for key, tag in lineage.tags().items():
        client.set_tag(run_id, key, tag)
    for key, value in lineage.figures().items():
        client.log_metric(run_id, key, value)


def without_secrets(uri: str) -> str:
    """A tracking URI as it may be shown: user and password left out."""
    secret, _, host = urlsplit(uri).netloc.rpartition("@")
    return uri.replace(f"{secret}@{host}", host, 1) if secret else uri


def _quiet_mlflow() -> None:
    """Keep out of the log what MLflow and alembic say about themselves, and a run's address: it may hold a password."""
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
