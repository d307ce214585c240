"""Log a training run to the MLflow run that Azure ML opened for the job."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from numbers import Real
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.train import TrainConfig

RUN_ID, TRACKING_URI = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"

logger = logging.getLogger("azdistill.training")


class LogToMLflow(TrainerCallback):
    """Log Trainer's metrics under their own names, such as `eval_loss`, which a sweep's `primary_metric` refers to.

    Does nothing unless `environ` names a run and a tracking server. transformers' own callback ends the run with the
    training, so that later metrics would open another run. When MLflow fails, the training continues without it:
    history.jsonl has the metrics.
    """

    def __init__(self, config: TrainConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._config, self._environ = config, environ
        self._enabled = bool(environ.get(RUN_ID) and environ.get(TRACKING_URI))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._enabled = self._enabled and state.is_world_process_zero
        self._send(self._log_params)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.log(logs or {}, state.global_step)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Log the numbers among `values`."""
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, Real)}
        self._send(lambda: self._log_metrics(numbers, step))

    def _log_metrics(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self._environ[RUN_ID], metrics=metrics)

    def _log_params(self) -> None:
        """Log the fields of the config that a resumed run doesn't have yet. Azure ML accepts 200 parameters a run."""
        from mlflow.entities import Param

        logged = self._client.get_run(self._environ[RUN_ID]).data.params
        params = [Param(name, str(value)) for name, value in self._config if name not in logged]
        self._client.log_batch(self._environ[RUN_ID], params=params)

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._environ[TRACKING_URI])

    def _send(self, request: Callable[[], None]) -> None:
        if not self._enabled:
            return
        from mlflow.exceptions import MlflowException

        try:
            request()
        except MlflowException as error:
            self._enabled = False
            run, reason = self._environ[RUN_ID], type(error).__name__  # its text may hold the URI with a password
            logger.warning("train: MLflow run %r: logging failed (%s); see history.jsonl", run, reason)
