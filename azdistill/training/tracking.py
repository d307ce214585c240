"""Log a training run to the MLflow run that Azure ML opened for the job."""

import logging
import os
import time
from collections.abc import Mapping
from functools import cached_property
from numbers import Real
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.train import TrainConfig

RUN_ID, TRACKING_URI = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"

# Metrics in one request. Source: limits of log-batch in the REST reference of MLflow.
BATCH = 1000

# Seconds to the next attempt after a failure. They double each time, so that the waits for a service that does not
# answer take little of a training.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 1800.0

logger = logging.getLogger("azdistill.training")


class LogToMLflow(TrainerCallback):
    """Log Trainer's metrics under their own names, such as `eval_loss`, which a sweep's `primary_metric` refers to.

    Does nothing unless `environ` names a run and a tracking server. transformers' own callback ends the run with the
    training, so that later metrics would open another run. A failure never ends the training: the first one is logged
    as a warning, and what was not accepted is sent later. history.jsonl has the metrics in any case.
    """

    def __init__(
        self,
        config: TrainConfig,
        inputs_hash: str = "",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._params = {**dict(config), "inputs_hash": inputs_hash}
        self._environ = environ
        self._enabled = bool(environ.get(RUN_ID) and environ.get(TRACKING_URI))
        self._metrics: list[tuple[str, float, int, int]] = []  # not yet accepted: name, value, milliseconds, step
        self._params_sent = self._warned = False
        self._pause_s, self._next_attempt = FIRST_PAUSE_S, time.monotonic()

    @property
    def run(self) -> str | None:
        """The id of the run that metrics are logged to."""
        return self._environ[RUN_ID] if self._enabled else None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._enabled = self._enabled and state.is_world_process_zero
        self._send()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.log(logs or {}, state.global_step)

    def log(self, values: Mapping[str, Any], step: int, *, last: bool = False) -> None:
        """Log the numbers among `values`. The `last` ones are sent without a pause after a failure."""
        now = int(time.time() * 1000)
        self._metrics += [(name, float(value), now, step) for name, value in values.items() if isinstance(value, Real)]
        if last:
            self._next_attempt = time.monotonic()
        self._send()

    def _send(self) -> None:
        if not self._enabled or time.monotonic() < self._next_attempt:
            return
        try:
            self._send_metrics()  # first: a sweep needs its objective, and no parameter
            self._send_params()
        except Exception as error:  # MLflow, its plugins, requests and azure-core have no common base class
            self._next_attempt = time.monotonic() + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._warn(error)
        else:
            self._pause_s = FIRST_PAUSE_S

    def _send_metrics(self) -> None:
        from mlflow.entities import Metric

        while self._metrics:
            batch = [Metric(*metric) for metric in self._metrics[:BATCH]]
            self._client.log_batch(self._environ[RUN_ID], metrics=batch)
            del self._metrics[:BATCH]

    def _send_params(self) -> None:
        """Log the fields of the config, and the hash of the inputs, that a resumed run doesn't have yet.

        Azure ML accepts 200 parameters a run.
        """
        if self._params_sent:
            return
        from mlflow.entities import Param

        logged = self._client.get_run(self._environ[RUN_ID]).data.params
        params = [Param(name, str(value)) for name, value in self._params.items() if name not in logged]
        self._client.log_batch(self._environ[RUN_ID], params=params)
        self._params_sent = True

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._environ[TRACKING_URI])

    def _warn(self, error: Exception) -> None:
        """Log the first failure. The text of the error may contain the URI with a password."""
        if not self._warned:
            run, reason = self._environ[RUN_ID], type(error).__name__
            logger.warning("train: MLflow run %r: logging failed (%s); see history.jsonl", run, reason)
        self._warned = True
