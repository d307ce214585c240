"""Verbs that run `azdistill` as a process: publish to a registry, deploy to an endpoint."""

import contextlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import write_json
from scripts.cd.answers import download_answers
from scripts.cd.az import AzureCli
from scripts.cd.settings import Target

AZDISTILL = "azdistill"
# A registry answers 409 and 429 where others publish at the same moment: exit code 1. What is published is not sent
# again.
PUBLISH_ATTEMPTS, PUBLISH_WAIT_S = 3, 30.0
TEMPORARY_FAILURE = 1
# azdistill gets its tokens from az, which has those of a login for about an hour.
RENEW_LOGIN_S = 1200.0
STOP_TIMEOUT_S = 300.0
INTERRUPTED = 130


def publish(az: AzureCli, path: Path, registry: str, wait_s: float = PUBLISH_WAIT_S) -> int:
    """Publish the components and environments of a job or bundle in a registry. Versions that exist are success."""
    code = 0
    for attempt in range(PUBLISH_ATTEMPTS):
        if attempt:
            az.report(f"publish: attempt {attempt + 1} in {wait_s:g} seconds")
            time.sleep(wait_s)
        code = _run(az, ["publish", str(path), "--registry", registry])
        if code != TEMPORARY_FAILURE:
            break
    return code


@dataclass(frozen=True)
class Rollout:
    """A model for the endpoint that a job file declares.

    `answers` names the job of `source` whose answers the smoke test compares with, empty for the job that registered
    the model in the endpoint's own workspace. `options` are further ones of `azdistill deploy`.
    """

    job: Path
    model: str
    answers: str
    source: Target
    options: Sequence[str] = ()
    renew_s: float = RENEW_LOGIN_S


def deploy(az: AzureCli, target: Target, rollout: Rollout) -> int:
    """Deploy to the endpoint, with the exit code of `azdistill deploy`."""
    target.require("group", "workspace", "subscription")
    with tempfile.TemporaryDirectory() as temporary, _renewed_login(az, rollout.renew_s):
        config, run = Path(temporary, "config.json"), Path(temporary, "run")
        write_json(config, target.as_config())
        options = [*rollout.options, "--config", str(config)]
        if rollout.answers:
            download_answers(az, rollout.source, rollout.answers, run)
            options += ["--run", str(run)]
        return _run(az, ["deploy", str(rollout.job), "--model", rollout.model, *options])


def _run(az: AzureCli, arguments: Sequence[str]) -> int:
    command = [AZDISTILL, *arguments]
    print(shlex.join(command), flush=True)
    if az.dry_run:
        return 0
    if shutil.which(AZDISTILL) is None:
        fix = f"{sys.executable} -m pip install ."
        raise InputError("not installed", subject=AZDISTILL, fix="install it", command=fix)
    process = subprocess.Popen(command)
    try:
        return process.wait()
    except KeyboardInterrupt:
        return _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> int:
    """Wait for an interrupted azdistill to end: a rollout first gives the old deployment its traffic back."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    process.terminate()
    try:
        code = process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    return code if code > 0 else INTERRUPTED


@contextlib.contextmanager
def _renewed_login(az: AzureCli, seconds: float) -> Iterator[None]:
    """Log in again every so many seconds, if this is a workflow with OIDC tokens."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(seconds):
            try:
                if az.log_in:
                    az.log_in(az)
            except AzdistillError as error:  # the next renewal may succeed
                az.report(f"the login was not renewed: {error}")

    thread = threading.Thread(target=renew, name="renew login", daemon=True)
    if az.log_in and not az.dry_run:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if thread.is_alive():
            thread.join()
