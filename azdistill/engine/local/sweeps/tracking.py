"""The MLflow run of each trial: made beforehand, as Azure ML does, and asked for the metric."""

import json
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.engine.local.sweeps.sampling import Values

ADDRESS, NAME = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
_SQLITE = "sqlite:///"
_OPENING = threading.Lock()
"""Two sweeps that start side by side make one database, and one experiment of a name."""


class Unreachable(Exception):
    """MLflow doesn't answer, or not as it should. The text is safe to print: it holds no address."""


class Tracking:
    """The runs of a sweep's trials, in the experiment that `variables` name, or else in one of the sweep's name."""

    def __init__(self, variables: Mapping[str, str], sweep: str) -> None:
        """Raises Unreachable. A new sqlite file takes MLflow some seconds, once."""
        address = variables[ADDRESS]
        with _OPENING, _answers():
            self._client = _client(address)
            self.experiment = variables.get(NAME) or sweep
            self._id = self._experiment(address)

    def open(self, name: str, values: Values, before: str) -> str:
        """The id of the run of a trial that starts now: a new one, or that of its last try, which was cut short."""
        tags = {"mlflow.runName": name, "hyperparameters": json.dumps(values)}
        with _answers():
            if before and self._again(before):
                return before
            return str(self._client.create_run(self._id, tags=tags).info.run_id)

    def variables(self, run: str) -> dict[str, str]:
        """What makes `mlflow.log_metric` in a process log to a run."""
        return {"MLFLOW_RUN_ID": run, "MLFLOW_EXPERIMENT_ID": self._id, NAME: self.experiment}

    def series(self, run: str, metric: str) -> tuple[float, ...]:
        """All values of a metric, in the order of steps."""
        with _answers():
            logged = self._client.get_metric_history(run, metric)
        return tuple(one.value for one in sorted(logged, key=lambda one: (one.step, one.timestamp)))

    def logged(self, run: str) -> set[str]:
        """Names of the metrics that a run has."""
        with _answers():
            return set(self._client.get_run(run).data.metrics)

    def close(self, run: str, status: str) -> None:
        """`status` is one of MLflow's: FINISHED, FAILED, KILLED."""
        with _answers():
            self._client.set_terminated(run, status)

    def _again(self, run: str) -> bool:
        """False when the run is gone, as with another database."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.update_run(run, status="RUNNING")
        except MlflowException:
            return False
        return True

    def _experiment(self, address: str) -> str:
        found = self._client.get_experiment_by_name(self.experiment)
        if found is None:
            return str(self._client.create_experiment(self.experiment, artifact_location=_artifacts(address)))
        return str(found.experiment_id)


def _client(address: str) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=address)


def _artifacts(address: str) -> str | None:
    """Beside a sqlite file, which would have them in the folder that the engine was started in."""
    return str(Path(address.removeprefix(_SQLITE)).parent / "mlruns") if address.startswith(_SQLITE) else None


@contextmanager
def _answers() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as problem:  # whose text may hold the address with its password
        raise Unreachable(f"{type(problem).__name__} {getattr(problem, 'error_code', '')}".strip()) from None
