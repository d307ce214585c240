"""The job of Azure ML that a process runs in."""

import os
from collections.abc import Mapping

from azdistill.engine.job_variables import RUN_ID, SIMULATED_SUBSCRIPTION, SUBSCRIPTION


def azure_ml_job(environ: Mapping[str, str] = os.environ) -> str | None:
    """The id of the Azure ML job that this process runs in. None in a local run, which has an id but no workspace."""
    subscription = environ.get(SUBSCRIPTION)
    return environ.get(RUN_ID) or None if subscription and subscription != SIMULATED_SUBSCRIPTION else None
