"""The MLflow run of each trial: created before the trial starts, as on Azure ML, and read for the metric."""

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.engine.job_variables import TRACKING_DATABASE
from azdistill.engine.local.sweeps.sampling import Values
from azdistill.engine.local.variables import ARTIFACTS, TRACKING_URI

EXPERIMENT_NAME = "MLFLOW_EXPERIMENT_NAME"
# Tag of a run with the id of the run that it belongs to. On Azure ML a trial has it, too.
PARENT = "mlflow.parentRunId"
_DISABLE_TELEMETRY = "MLFLOW_DISABLE_TELEMETRY"
_SQLITE = "sqlite:///"
# Two sweeps that start at the same time must not both create the database, or the experiment.
_OPEN_LOCK = threading.Lock()


class TrackingFailed(Exception):
    """MLflow returned an error. The text is safe to print: it contains no address."""


class TrialTracker:
    """The MLflow runs of a sweep's trials, in the experiment of the node's variables, or one with the sweep's name."""

    def __init__(self, variables: Mapping[str, str], sweep: str) -> None:
        """Raises TrackingFailed. MLflow needs some seconds to create a sqlite database."""
        # This process has the version of the database, and needs no server.
        address = variables.get(TRACKING_DATABASE, variables[TRACKING_URI])
        self.experiment = variables.get(EXPERIMENT_NAME) or sweep
        with _OPEN_LOCK:
            _import_mlflow()
            with _mlflow_errors(), _quiet_loggers("mlflow", "alembic"):
                from mlflow.tracking import MlflowClient

                self._client = MlflowClient(tracking_uri=address)
                self._experiment_id = self._get_experiment(address)

    def open_sweep(self, name: str, trials: Iterable[str]) -> str:
        """The id of the run that those of the trials belong to: that of earlier `trials`, or a new one."""
        with _mlflow_errors():
            if parent := next(filter(None, map(self._parent_of, trials)), None):
                return parent
            return str(self._client.create_run(self._experiment_id, tags={"mlflow.runName": name}).info.run_id)

    def open(self, name: str, values: Values, before: str, sweep: str) -> str:
        """The id of the run of a trial that starts: the run `before` of its last attempt, or a new one of the sweep."""
        tags = {"mlflow.runName": name, "hyperparameters": json.dumps(values), PARENT: sweep}
        with _mlflow_errors():
            if before and self._reopen(before):
                return before
            return str(self._client.create_run(self._experiment_id, tags=tags).info.run_id)

    def variables(self, run: str) -> dict[str, str]:
        """Variables that make `mlflow.log_metric` in a process log to a run."""
        return {"MLFLOW_RUN_ID": run, "MLFLOW_EXPERIMENT_ID": self._experiment_id, EXPERIMENT_NAME: self.experiment}

    def series(self, run: str, metric: str) -> tuple[float, ...]:
        """All values of a metric, in the order of steps."""
        with _mlflow_errors():
            logged = self._client.get_metric_history(run, metric)
        return tuple(entry.value for entry in sorted(logged, key=lambda entry: (entry.step, entry.timestamp)))

    def logged_metrics(self, run: str) -> set[str]:
        """The names of the metrics of a run."""
        with _mlflow_errors():
            return set(self._client.get_run(run).data.metrics)

    def close(self, run: str, status: str) -> None:
        """End a run. `status` is one of MLflow's: FINISHED, FAILED, KILLED."""
        with _mlflow_errors():
            self._client.set_terminated(run, status)

    def _parent_of(self, run: str) -> str | None:
        """None when the run does not exist, as with another database."""
        from mlflow.exceptions import MlflowException

        try:
            parent: str | None = self._client.get_run(run).data.tags.get(PARENT)
        except MlflowException:
            return None
        return parent

    def _reopen(self, run: str) -> bool:
        """False when the run does not exist, as with another database."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(run, status="RUNNING")
        except MlflowException:
            return False
        return True

    def _get_experiment(self, address: str) -> str:
        existing: Any = self._client.get_experiment_by_name(self.experiment)
        if existing is None:
            return str(self._client.create_experiment(self.experiment, artifact_location=_artifacts(address)))
        return str(existing.experiment_id)


def _import_mlflow() -> None:
    """Import MLflow without telemetry. It reads the variable only while it is imported."""
    before = os.environ.get(_DISABLE_TELEMETRY)
    os.environ.setdefault(_DISABLE_TELEMETRY, "true")
    try:
        import mlflow.tracking  # noqa: F401
    finally:
        if before is None:
            os.environ.pop(_DISABLE_TELEMETRY, None)


def _artifacts(address: str) -> str | None:
    """The folder of artifacts for a sqlite database: next to it, not in the current folder as MLflow's default is."""
    return str(Path(address.removeprefix(_SQLITE)).parent / ARTIFACTS) if address.startswith(_SQLITE) else None


@contextmanager
def _quiet_loggers(*names: str) -> Iterator[None]:
    """Suppress progress messages, such as a line for each database migration, and restore the levels."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _mlflow_errors() -> Iterator[None]:
    """Raise TrackingFailed for errors of MLflow and its database, whose text may hold the address with its password."""
    try:
        yield
    except ImportError as error:  # the driver of the database
        raise TrackingFailed(f"{type(error).__name__} (no package {error.name!r})") from None
    except Exception as error:  # MLflow, sqlalchemy, alembic and plugins have no common base class
        raise TrackingFailed(f"{type(error).__name__} {getattr(error, 'error_code', '')}".strip()) from None
