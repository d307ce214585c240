"""Trials of a sweep, read from the MLflow runs that Azure ML and the local engine make for them."""

import logging
import math
from collections.abc import Sequence
from typing import Any

from azdistill.contracts.sweep import OBJECTIVE
from azdistill.reporting.report import Trial, Trials

# Tag of a run with the id of the run that it belongs to: for a trial, that of its sweep. Source: "Get child (nested)
# runs" in https://learn.microsoft.com/azure/machine-learning/how-to-track-experiments-mlflow.
PARENT = "mlflow.parentRunId"

# Most trials of a sweep in Azure ML, and most runs of one answer.
MAX_TRIALS = 1000

STATES = {"FINISHED": "completed", "FAILED": "failed", "KILLED": "ended early", "RUNNING": "running"}

logger = logging.getLogger("azdistill.reporting")


def read_trials(tracking_uri: str | None, best_run: str | None, fields: Sequence[str]) -> Trials:
    """All trials of the sweep that the run `best_run` is a trial of, in the order of their start.

    `fields` are the settings that the sweep varied. Without MLflow, or if it fails, the result has no trials.
    """
    if not tracking_uri or not best_run:
        return Trials(fields=tuple(fields))
    try:
        runs = _runs_of_sweep(tracking_uri, best_run)
    except Exception as error:  # MLflow, its plugins, requests and azure-core have no common base class
        # Its text may contain the URI with a password.
        logger.warning("report: the trials of the sweep could not be read from MLflow (%s)", type(error).__name__)
        return Trials(fields=tuple(fields))
    started = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
    trials = [_trial(number, run, best_run, fields) for number, run in enumerate(started, start=1)]
    return Trials(fields=tuple(fields), trials=tuple(trials))


def _runs_of_sweep(tracking_uri: str, best_run: str) -> list[Any]:
    """The runs with the same parent; no runs without a parent."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking_uri)
    best = client.get_run(best_run)
    parent = best.data.tags.get(PARENT)
    if parent is None:
        return []
    return list(client.search_runs([best.info.experiment_id], f"tags.{PARENT} = '{parent}'", max_results=MAX_TRIALS))


def _trial(number: int, run: Any, best_run: str, fields: Sequence[str]) -> Trial:
    """A trial. Its values are parameters of its run, which the train step logs."""
    objective = run.data.metrics.get(OBJECTIVE)
    return Trial(
        number=number,
        run=run.info.run_id,
        state=STATES.get(run.info.status, run.info.status.lower()),
        objective=objective if objective is not None and math.isfinite(objective) else None,
        values={name: run.data.params.get(name, "") for name in fields},
        is_best=run.info.run_id == best_run,
    )
