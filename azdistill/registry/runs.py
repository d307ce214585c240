"""The MLflow client of a registration, and the run that records it."""

import logging
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from azdistill.azure_rest.identity import HoldsSecret
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.redaction import quote, redact, url_secrets
from azdistill.registry.lineage import Lineage

logger = logging.getLogger("azdistill.registry")


@dataclass(frozen=True)
class Registration:
    """A registered model version.

    `source` is where its files are. `registry` names the registry without secrets. `baseline` refers to the model
    version of the student before training, where there is one.
    """

    registered_model: str
    version: int
    model_uri: str
    source: str
    run_id: str
    registry: str
    baseline: str | None = None


@dataclass(frozen=True)
class JobRun(HoldsSecret):
    """The MLflow run that Azure ML opened for the job. `tracking` may contain a password."""

    run_id: str
    tracking: str | None = field(default=None, repr=False)


@contextmanager
def mlflow_client(uri: str) -> Iterator[MlflowClient]:
    """A client of tracking server and registry at `uri`. Raises AzdistillError without secrets when MLflow fails."""
    try:
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except AzdistillError:
        raise
    except Exception as error:  # exceptions of an MLflow plugin have no common base
        shown = redact(uri)
        raise AzdistillError(
            quote(str(error).strip().partition("\n")[0].replace(uri, shown), url_secrets(uri)),
            code="registry_failed",
            subject=f"model registry {shown!r}",
            fix="check MLFLOW_TRACKING_URI and your access",
        ) from None


@contextmanager
def command_on_failure(model_type: str, arguments: Callable[[], Sequence[str]]) -> Iterator[None]:
    """Add the command that registers a model by hand to an error without one. `arguments` are its other arguments.

    `--path` requires a version: https://learn.microsoft.com/cli/azure/ml/model#az-ml-model-create
    """
    try:
        yield
    except AzdistillError as error:
        last = error.problems[-1]
        if last.command:
            raise
        command = ["az", "ml", "model", "create", "--type", model_type, *arguments()]
        fix = "; or ".join(filter(None, (last.fix, f"register the {model_type} by hand")))
        problems = [*error.problems[:-1], replace(last, fix=fix, command=shlex.join(command))]
        raise type(error)(problems=problems) from None


def log_lineage(client: MlflowClient, run_id: str, lineage: Lineage) -> None:
    """Set the tags and metrics of a run, in one request."""
    now = int(time.time() * 1000)
    tags = [RunTag(key, value) for key, value in lineage.tags().items()]
    metrics = [Metric(key, value, now, 0) for key, value in lineage.run_metrics().items()]
    client.log_batch(run_id, metrics=metrics, tags=tags)


def log_lineage_of_job(run: JobRun, lineage: Lineage) -> None:
    """Set the tags and metrics of the job's run if MLflow works: the model version and lineage.json have them too."""
    if not run.tracking:
        return
    try:
        log_lineage(MlflowClient(tracking_uri=run.tracking), run.run_id, lineage)
    except Exception as error:  # as above: a registration must not depend on it
        reason = type(error).__name__  # its text may contain the URI with a password
        logger.warning("register: MLflow run %r: logging failed (%s); see lineage.json", run.run_id, reason)
