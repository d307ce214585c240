"""Jobs of a workspace, as `DistillationClient.jobs`."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure import jobs
from azdistill.azure.checks.bundle import check_bundle, stop_at_problems
from azdistill.azure.jobs import JobStatus
from azdistill.azure.submission import submit
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.layout import REPORT_FILE, REPORT_OUTPUT
from azdistill.job.bundle import compile_job
from azdistill.job.student_folder import check_student

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob

POLL_S = 15.0


class WorkspaceJobs:
    """Submit jobs to a workspace and follow them. `poll_s`: seconds between two polls of a job that is waited for."""

    def __init__(self, client: "MLClient", poll_s: float = POLL_S) -> None:
        self._client, self._poll_s = client, poll_s
        self.submitted: dict[str, DistillationJob] = {}

    def create_or_update(self, job: "DistillationJob") -> JobStatus:
        """Check and submit a job, or find the one that was submitted before. Raises InputError with all problems."""
        check_student(job)
        with tempfile.TemporaryDirectory() as folder:
            bundle = compile_job(job, Path(folder, job.name)).parent
            stop_at_problems(check_bundle(self._client, bundle))
            name = submit(self._client, bundle).name
        self.submitted[name] = job
        return self.get(name)

    def get(self, name: str) -> JobStatus:
        """The status of a job, by its nodes and its gate.json: Failed for a student that is not registered.

        Raises GateUnknown when gate.json cannot be read.
        """
        return jobs.with_outcome(self._client, jobs.status(self._client, name))

    def stream(self, name: str) -> None:
        """Print the job's log until it ends. Raises GateRefused, NodeFailed or GateUnknown if it did not succeed."""
        jobs.stream(self._client, name)

    def cancel(self, name: str) -> JobStatus:
        return jobs.cancel(self._client, name)

    def list(self) -> Iterator[JobStatus]:
        """The latest jobs with the status that Azure ML reports, which `get` checks."""
        return jobs.list_jobs(self._client)

    def report(self, name: str) -> dict[str, Any]:
        """Wait for a job to end and return its report.json. Raises NodeFailed, or InputError without a report."""
        while not jobs.status(self._client, name, nodes=False).ended:
            time.sleep(self._poll_s)
        with tempfile.TemporaryDirectory() as folder:
            jobs.download(self._client, name, Path(folder), REPORT_OUTPUT)
            path = next(Path(folder).rglob(REPORT_FILE), None)
            if path is None:
                job = self.get(name)
                jobs.raise_for_failure(self._client, job)
                raise InputError(
                    "it has no report", subject=f"job {name!r}", code="no_report", fix=f"see {job.studio_url}"
                )
            report: dict[str, Any] = read_json(path)
            return report

    def job_name(self, display_name: str) -> str:
        """Name of the latest job with that display name. Raises InputError if no job has it."""
        for candidate in self.list():
            if candidate.display_name == display_name:
                return candidate.name
        raise InputError(
            "none of the workspace's latest jobs has this display name",
            subject=f"job {display_name!r}",
            code="not_found",
            fix="submit it first",
        )

    def model_address(self, name: str, role: str) -> str:
        """Registered name of the `student` or `baseline` of a job, or the address of a baseline that is in a registry.

        The baseline of another job is a folder of this machine.
        """
        job = self.submitted[name]
        return job.registered_model if role == "student" else job.student.baseline or job.student.model

    def inputs(self, name: str) -> Mapping[str, str]:
        return {}

    def connect(self) -> "MLClient":
        return self._client
