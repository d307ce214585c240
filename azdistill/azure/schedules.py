"""Schedules: runs of a bundle at the times of a cron expression.

Source: https://learn.microsoft.com/azure/machine-learning/how-to-schedule-pipeline-job
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import translate_errors
from azdistill.azure.offline import load_pipeline_job
from azdistill.azure.workspace import fast_validation, fewer_requests
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_text
from azdistill.contracts.layout import PIPELINE_FILE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

SCHEMA = "https://azuremlschemas.azureedge.net/latest/schedule.schema.json"

_NUMBERS = r"(\*(/\d+)?|\d+(-\d+)?(/\d+)?(,\d+(-\d+)?(/\d+)?)*)"
_DAYS = rf"({_NUMBERS}|[A-Za-z]{{3,9}}(-[A-Za-z]{{3,9}})?(,[A-Za-z]{{3,9}}(-[A-Za-z]{{3,9}})?)*)"
_CRON = re.compile(rf"(?P<minutes>{_NUMBERS}) (?P<hours>{_NUMBERS}) (?P<days>\S+) (?P<months>\S+) {_DAYS}")


@dataclass(frozen=True)
class CronSchedule:
    """A schedule of a bundle. `cron` is in `time_zone`, a name of Windows such as `W. Europe Standard Time`."""

    name: str
    bundle: Path
    cron: str
    time_zone: str = "UTC"


def schedule_name(job: str) -> str:
    """Name of the schedule of a job. Names of schedules have letters, digits, `-` and `_`."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", job).strip("-_")


def check_cron(expression: str) -> None:
    """Raise InputError for an expression that Azure ML refuses, or of which it ignores a part."""
    match = _CRON.fullmatch(" ".join(expression.split()))
    if match is None:
        raise InputError(
            "is not MINUTES HOURS DAYS MONTHS DAYS-OF-WEEK",
            subject="--cron",
            value=expression,
            code="invalid_cron",
            fix="for example '0 6 * * 1', every Monday at 6:00",
        )
    if (match["days"], match["months"]) != ("*", "*"):
        raise InputError(
            "Azure ML ignores days and months of a cron expression: it would run on every day of the week given",
            subject="--cron",
            value=expression,
            code="invalid_cron",
            fix="set both to *",
        )


def write_schedule(schedule: CronSchedule, path: Path) -> None:
    """Write the schedule as a file for `az ml schedule create --file`."""
    from yaml import safe_dump

    pipeline = Path(os.path.relpath(schedule.bundle / PIPELINE_FILE, path.parent)).as_posix()
    content = {
        "$schema": SCHEMA,
        "name": schedule.name,
        "display_name": schedule.name,
        "trigger": {"type": "cron", "expression": schedule.cron, "time_zone": schedule.time_zone},
        "create_job": pipeline if pipeline.startswith("../") else f"./{pipeline}",
    }
    write_text(path, safe_dump(content, sort_keys=False))


def create_schedule(client: "MLClient", schedule: CronSchedule) -> Any:
    """Create the schedule, or replace the one of that name, and wait until it is enabled. Returns the SDK's object."""
    from azure.ai.ml.entities import CronTrigger, JobSchedule

    with translate_errors(f"schedule {schedule.name!r}"), fast_validation(), fewer_requests(client):
        job = load_pipeline_job(schedule.bundle / PIPELINE_FILE, schedule.bundle / PIPELINE_FILE, [])
        trigger = CronTrigger(expression=schedule.cron, time_zone=schedule.time_zone)
        entity = JobSchedule(name=schedule.name, display_name=schedule.name, trigger=trigger, create_job=job)
        return client.schedules.begin_create_or_update(entity).result()
