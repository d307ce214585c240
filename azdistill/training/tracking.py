"""The figures of a training in the MLflow run that Azure ML opened for the job."""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from numbers import Real
from typing import Any

from transformers import TrainerCallback

from azdistill.contracts.train import TrainConfig

RUN, TRACKING = "MLFLOW_RUN_ID", "MLFLOW_TRACKING_URI"


class LogToRun(TrainerCallback):
    """Logs under Trainer's names, of which a sweep's `primary_metric` is one, where `environ` names a run.

    The run stays open: transformers' own callback ends it with the training, and what comes after opens another one.
    A run that takes nothing doesn't end a training of hours: that is said once, and history.jsonl has it all.
    """

    def __init__(self, config: TrainConfig, environ: Mapping[str, str] = os.environ) -> None:
        self._config, self._environ = config, environ
        self._open = bool(environ.get(RUN) and environ.get(TRACKING))

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._open = self._open and state.is_world_process_zero
        self._try(self._describe)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self.log(logs or {}, state.global_step)

    def log(self, figures: Mapping[str, Any], step: int) -> None:
        """Those of `figures` that are numbers."""
        numbers = {name: float(value) for name, value in figures.items() if isinstance(value, Real)}
        self._try(lambda: self._log(numbers, step))

    def _log(self, numbers: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self._environ[RUN], metrics=metrics)

    def _describe(self) -> None:
        """Our config alone: Azure ML takes 200 parameters a run. A run that goes on has them already."""
        from mlflow.entities import Param

        known = self._client.get_run(self._environ[RUN]).data.params
        params = [Param(name, str(value)) for name, value in self._config if name not in known]
        self._client.log_batch(self._environ[RUN], params=params)

    @cached_property
    def _client(self) -> Any:
        from mlflow.tracking import MlflowClient

        return MlflowClient(tracking_uri=self._environ[TRACKING])

    def _try(self, send: Callable[[], None]) -> None:
        if not self._open:
            return
        _quiet_mlflow()
        from mlflow.exceptions import MlflowException

        try:
            send()
        except MlflowException as problem:  # whose text may hold the address with its password
            self._open = False
            told = f"MLflow run {self._environ[RUN]!r} takes no figures ({type(problem).__name__})"
            print(f"train: {told}; history.jsonl has them", file=sys.stderr)


def _quiet_mlflow() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when MLflow is imported
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
