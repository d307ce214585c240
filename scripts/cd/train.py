"""Submit a job once, wait for it with a bound, and read the decision of its gates."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azdistill.azure.nodes import COMPLETED
from azdistill.azure.submission import job_name
from azdistill.cli.paths import bundle_of
from azdistill.contracts.errors import (
    AzdistillError,
    GateRefused,
    GateUnknown,
    InputError,
    Interrupted,
)
from azdistill.contracts.layout import PIPELINE_FILE
from scripts.cd.az import AzureCli
from scripts.cd.errors import AzFailed, AzNotFound, WaitTimedOut
from scripts.cd.results import Job, Outcome, read_job, read_outcome, show_job, write_job
from scripts.cd.settings import Target, annotate, write_outputs

# Failed polls of a job in a row after which the wait ends. The job continues, and the verb can be run again.
MOST_FAILED_LOOKS = 10
MOST_ATTEMPTS = 50
# GitHub ends a cancelled step seconds after it has signalled it.
CANCEL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Training:
    """A bundle to train, and the time to wait for its job. `inputs` replace values of pipeline inputs.

    `label` is part of the job's name: another label is another job, although it has the same content.
    """

    bundle: Path
    minutes: float
    poll_s: float
    folder: Path
    inputs: Mapping[str, str] = field(default_factory=dict)
    label: str = ""
    again: bool = False


def compile_bundle(path: Path, settings: list[str]) -> Path:
    """The bundle of a job file, which is compiled to bundles/NAME, or of a folder that is one."""
    return bundle_of(path, settings, to_submit=True)


def train(az: AzureCli, target: Target, training: Training) -> None:
    """Train, or attach to the job that was submitted before, and report the outcome.

    Raises GateRefused, GateUnknown, AzdistillError for a failed job, WaitTimedOut and Interrupted. An inconclusive
    gate is no error: the output `gate` says so, and `promote` does not accept it.
    """
    target.require("group", "workspace")
    outcome = _outcome_of_attempts(az, target, training)
    if az.dry_run:
        return
    write_job(training.folder, outcome.outputs())
    write_outputs(outcome.outputs())
    raise_for_outcome(outcome)


def redistil_settings(baseline: str) -> list[str]:
    """Fields of a job that trains on new rows: Azure ML would reuse results while the address of the rows is the same.

    `baseline` is the address of the student to beat, empty for the untouched student.
    """
    return ["compute.force_rerun=true", *([f"student.baseline={baseline}"] if baseline else [])]


def raise_for_outcome(outcome: Outcome) -> None:
    """Raise the error of an outcome, if it is one. The gates decide; the job's status is only part of the message."""
    job = outcome.job
    subject = f"job {job.name!r}"
    if outcome.gate is None:
        if job.status == COMPLETED:
            raise GateUnknown(f"{job.status}, and gate.json cannot be read ({outcome.unread})", subject=subject)
        raise AzdistillError(
            f"{job.status} before its gates were decided",
            subject=subject,
            code="job_failed",
            fix=f"see {job.studio_url}",
        )
    if outcome.decision == "refused":
        raise GateRefused("the gates refused the student", subject=subject, fix="see the report")
    if outcome.decision == "inconclusive":
        annotate("warning", f"{subject}: the gates are inconclusive: the student is not promoted; see the report")
    elif not outcome.model:
        raise AzdistillError(
            f"{job.status}: the gates passed, but the student is not registered",
            subject=subject,
            code="not_registered",
            fix=f"see step register in {job.studio_url}, and run the verb again",
        )
    elif job.status != COMPLETED:
        annotate("warning", f"{subject}: {job.status}, although the gates passed and the student is registered")


def _outcome_of_attempts(az: AzureCli, target: Target, training: Training) -> Outcome:
    """Attach to the last attempt if it runs or is decided, else submit the next one."""
    base = job_name(training.bundle, training.inputs)
    base += f"-{training.label}" if training.label else ""
    for attempt in range(1, MOST_ATTEMPTS + 1):
        name = f"{base}-{attempt}"
        job = _find(az, target, name)
        if job is None:
            return _submit_and_wait(az, target, training, name)
        if not job.ended:
            az.report(f"job {name}: already submitted, {job.status}")
            return _wait_or_cancel(az, target, training, name)
        outcome = read_outcome(az, target, job, training.folder)
        if not training.again and (outcome.decided or (outcome.gate is None and job.status == COMPLETED)):
            az.report(f"job {name}: already ended, nothing submitted")
            return outcome
        az.report(f"job {name}: {job.status}; a next attempt follows")
    raise AzdistillError(f"{MOST_ATTEMPTS} attempts have failed", subject=f"job {base!r}", fix="correct the cause")


def _find(az: AzureCli, target: Target, name: str) -> Job | None:
    if az.dry_run:
        az("ml", "job", "show", "--name", name, *target.workspace_options)
        return None
    try:
        return show_job(az, target, name)
    except AzNotFound:
        return None


def _submit_and_wait(az: AzureCli, target: Target, training: Training, name: str) -> Outcome:
    if not az.dry_run:
        write_job(training.folder, {"job": name})
        write_outputs({"job": name})
    options = [option for pair in training.inputs.items() for option in ("--set", f"inputs.{pair[0]}={pair[1]}")]
    pipeline = str(training.bundle / PIPELINE_FILE)

    def create() -> None:
        try:
            az("ml", "job", "create", "--file", pipeline, "--name", name, *options, *target.workspace_options)
        except AzFailed:
            if _find(az, target, name) is None:  # else another run submitted it at the same moment
                raise
        az.report(f"job {name}: submitted")

    return _wait_or_cancel(az, target, training, name, create)


def _wait_or_cancel(az: AzureCli, target: Target, training: Training, name: str, create: Any = None) -> Outcome:
    """Wait for the end of a job. It is cancelled when that takes too long, and on Ctrl-C or SIGTERM."""
    try:
        if create:
            create()
        job = _wait(az, target, training, name)
    except (KeyboardInterrupt, WaitTimedOut) as error:
        cancel_job(az, target, name)
        if isinstance(error, WaitTimedOut):
            raise
        raise Interrupted("interrupted; the job was cancelled", subject=f"job {name!r}") from None
    return read_outcome(az, target, job, training.folder)


def _wait(az: AzureCli, target: Target, training: Training, name: str) -> Job:
    deadline = time.monotonic() + 60 * training.minutes
    status, failed_looks = "", 0
    while True:
        try:
            job = show_job(az, target, name)
            failed_looks = 0
        except AzNotFound:
            raise
        except AzFailed as error:
            failed_looks += 1
            if failed_looks == MOST_FAILED_LOOKS:
                raise
            az.report(f"job {name}: its status cannot be read, look {failed_looks} ({error})")
        else:
            if job.status != status:
                status = job.status
                az.report(f"{time.strftime('%H:%M:%S')}  job {name}: {status}  {job.studio_url}")
            if job.ended:
                return job
        if time.monotonic() >= deadline:
            raise WaitTimedOut(
                f"{status or 'no status'} after {training.minutes:g} minutes; the job was cancelled",
                subject=f"job {name!r}",
                fix="wait longer with --minutes; completed nodes are reused",
            )
        time.sleep(training.poll_s)


def cancel_job(az: AzureCli, target: Target, name: str) -> None:
    """Ask Azure ML to cancel a job, whatever signals arrive meanwhile. A job that has ended, or is missing, is fine."""
    handlers = [(number, signal.signal(number, signal.SIG_IGN)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        az("ml", "job", "cancel", "--name", name, *target.workspace_options, timeout_s=CANCEL_TIMEOUT_S)
        az.report(f"job {name}: cancelled")
    except AzNotFound:
        az.report(f"job {name}: not in the workspace, nothing to cancel")
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)


def cancel(az: AzureCli, target: Target, folder: Path, name: str = "") -> None:
    """Cancel the job `name`, or that of an interrupted `train`, if it has not ended."""
    target.require("group", "workspace")
    try:
        name = name or read_job(folder).get("job", "")
    except InputError:
        az.report(f"no job was submitted: {folder} has no results")
        return
    try:
        job = show_job(az, target, name, assume="Running")
    except AzNotFound:
        az.report(f"job {name}: not in the workspace, nothing to cancel")
        return
    if job.ended:
        az.report(f"job {name}: already {job.status}")
    else:
        cancel_job(az, target, name)
