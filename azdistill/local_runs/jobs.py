"""Local runs as the jobs of `DistillationClient`: each run folder is a job."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.layout import RUN_MODEL, RUN_REPORT
from azdistill.contracts.manifest import read_manifest
from azdistill.engine.local.attempts import LOG
from azdistill.engine.local.results import Event
from azdistill.engine.problems import printable
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.run import run, with_replacements
from azdistill.local_runs.run_folder import RunFolder, read_run, runs_in

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob

logger = logging.getLogger("azdistill.local_runs")

# Azure ML's status of a job, by the state of a run. Other states are Failed: so is a job with a refused student.
STATUSES = {"completed": "Completed", "running": "Running", "interrupted": "Canceled"}


@dataclass(frozen=True)
class LocalJob:
    """A local run with the status names of Azure ML. `folder` is the run folder."""

    name: str
    status: str
    folder: Path


class LocalJobs:
    """Runs in folders below `path`, named after their jobs. With `dry_run` all of them are dry runs.

    `progress` shows what is logged while a job runs.
    """

    def __init__(
        self, path: Path, *, dry_run: bool = False, progress: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self.path, self.dry_run = path, dry_run
        self._progress = progress
        self._requests: dict[str, RunRequest] = {}
        self.submitted: dict[str, DistillationJob] = {}

    def create_or_update(self, job: "DistillationJob") -> LocalJob:
        """Run a job to its end; nodes that have not changed are reused. Logs each change of a node's state.

        Raises InputError for a job that cannot run on this machine.
        """
        name = self.job_name(job.name)
        with self._progress():
            request = with_replacements(RunRequest(job, self.path / name, dry_run=self.dry_run))
            request = replace(request, dry_run=False)  # the inputs of a dry run are already replaced
            self._requests[name], self.submitted[name] = request, job
            run(request, _StateLog())
        return self.get(name)

    def get(self, name: str) -> LocalJob:
        """Raises InputError when there is no run with this name."""
        return _job(self._run(name))

    def stream(self, name: str) -> None:
        """Print the logs of all nodes of a run, as `MLClient.jobs.stream` prints that of a job."""
        for node in self._run(name).records:
            print(f"--- {node}")
            log = (self.path / name / node / LOG).read_text(encoding="utf-8", errors="replace")
            print(printable(log.rstrip()))

    def cancel(self, name: str) -> LocalJob:
        """Return the job without a change: `create_or_update` returns when a job has ended."""
        return self.get(name)

    def list(self) -> Iterator[LocalJob]:
        """All runs, the latest first."""
        return map(_job, runs_in(self.path))

    def report(self, name: str) -> dict[str, Any]:
        """Content of report.json. Raises InputError for a run that ended before its report, or whose report is
        damaged."""
        path = self._run(name).path / RUN_REPORT
        if not path.is_file():
            raise InputError(
                f"{self.get(name).status}, without a report",
                subject=f"job {name!r}",
                code="no_report",
                fix=f"see its logs: client.jobs.stream({name!r})",
            )
        read_manifest(path.parent)
        report: dict[str, Any] = read_json(path)
        return report

    def job_name(self, display_name: str) -> str:
        """Name of the run of a job."""
        return f"{display_name}-dry-run" if self.dry_run else display_name

    def model_address(self, name: str, role: str) -> str:
        """Path of the folder of the `student` or `baseline` of a job that this client ran; an address for a baseline
        that is in a registry."""
        if role == "student":
            return str(self.path / name / RUN_MODEL)
        student = self.submitted[name].student
        if student.baseline:
            return self.inputs(name).get("baseline", student.baseline)
        return self.inputs(name).get("student", student.model)

    def inputs(self, name: str) -> Mapping[str, str]:
        """Inputs of a dry run, which replace those of the job."""
        return self._requests[name].options.inputs

    def connect(self) -> "MLClient":
        raise InputError(
            f"no such run in {str(self.path)!r}, and no such folder; a client of this machine has no workspace",
            field=("model_name",),
            code="unknown_model",
            fix="run the job with this client, or name the folder of the model",
        )

    def _run(self, name: str) -> RunFolder:
        if run_folder := read_run(self.path / name):
            return run_folder
        names = ", ".join(run_folder.path.name for run_folder in runs_in(self.path)) or "none"
        raise InputError(
            f"there is no such run in {str(self.path)!r}",
            subject=f"job {name!r}",
            code="not_found",
            fix=f"its runs are: {names}",
        )


def _job(run_folder: RunFolder) -> LocalJob:
    return LocalJob(run_folder.path.name, STATUSES.get(run_folder.state, "Failed"), run_folder.path)


class _StateLog:
    """Log each change of a node's state."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        for name, node in event.nodes.items():
            if node.state != self._states.get(name, "waiting"):
                logger.info("%s: %s", name, node.state)
            self._states[name] = node.state
