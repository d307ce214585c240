"""The MLflow client of a registration, and the run that records it."""

import logging
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlflow.entities import Metric, RunTag
from mlflow.tracking import MlflowClient

from azdistill.azure_rest.identity import HoldsSecret
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.redaction import quote, redact, url_secrets
from azdistill.registry.lineage import Lineage

logger = logging.getLogger("azdistill.registry")

T = TypeVar("T")


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
class TrackedRun(HoldsSecret):
    """The MLflow run of a registration in a workspace: the one that Azure ML opened for the job, or a new one.

    `tracking` may contain a password. A registration does not depend on MLflow: what it cannot log is a warning, and is
    also in lineage.json and in the tags of the model version.
    """

    run_id: str | None
    tracking: str | None = field(default=None, repr=False)

    @contextmanager
    def recorded(self, name: str, lineage: Lineage) -> Iterator[str | None]:
        """Yield the id of the run, None without one. Log tags and metrics to it unless the block fails.

        A new run is in the experiment `name`.
        """
        client = self._warn(lambda: MlflowClient(tracking_uri=self.tracking)) if self.tracking else None
        if client is None:
            yield self.run_id
            return
        run_id = self.run_id or self._warn(lambda: start_run(client, name))
        try:
            yield run_id
        except BaseException:
            if run_id and not self.run_id:
                self._warn(lambda: client.set_terminated(run_id, "FAILED"))
            raise
        if run_id:
            self._warn(lambda: log_lineage(client, run_id, lineage))
            if not self.run_id:
                self._warn(lambda: client.set_terminated(run_id))

    def _warn(self, request: Callable[[], T]) -> T | None:
        """The result of a request, None with a warning when it fails."""
        try:
            return request()
        except Exception as error:  # exceptions of an MLflow plugin have no common base
            reason = type(error).__name__  # its text may contain the URI with a password
            run = f"MLflow run {self.run_id!r}" if self.run_id else "MLflow"
            logger.warning("register: %s: logging failed (%s); see lineage.json", run, reason)
            return None


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


def start_run(client: MlflowClient, name: str) -> str:
    """The id of a new run in the experiment `name`."""
    experiment = client.get_experiment_by_name(name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(name)
    return str(client.create_run(experiment_id, run_name=f"register {name}").info.run_id)
