"""Jobs of a workspace, as the client has them."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure import jobs
from azdistill.azure.checks.order import check_bundle, stop_at_wrong
from azdistill.azure.jobs import JobStatus
from azdistill.azure.submission import submit
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.job.bundle import compile_job

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob

LOOK_S = 15.0
REPORT = "report"


class WorkspaceJobs:
    """Jobs are sent as bundles, once; see `submit`. `look_s` is how often a job is looked at while it is waited for."""

    def __init__(self, client: "MLClient", look_s: float = LOOK_S) -> None:
        self._client, self._look_s = client, look_s
        self.sent: dict[str, DistillationJob] = {}

    def create_or_update(self, job: "DistillationJob") -> JobStatus:
        """Send a job when all is there that it needs, or find the one that was sent before."""
        with tempfile.TemporaryDirectory() as folder:
            bundle = compile_job(job, Path(folder, job.name)).parent
            stop_at_wrong(check_bundle(self._client, bundle))
            name = submit(self._client, bundle).name
        self.sent[name] = job
        return self.get(name)

    def get(self, name: str) -> JobStatus:
        return jobs.status(self._client, name)

    def stream(self, name: str) -> None:
        jobs.stream(self._client, name)

    def cancel(self, name: str) -> JobStatus:
        return jobs.cancel(self._client, name)

    def list(self) -> Iterator[JobStatus]:
        return jobs.listed(self._client)

    def report(self, name: str) -> dict[str, Any]:
        """report.json of a job, which is waited for. Raises NodeFailed, or InputError when it left no report."""
        while not jobs.status(self._client, name, nodes=False).ended:
            time.sleep(self._look_s)
        with tempfile.TemporaryDirectory() as folder:
            jobs.download(self._client, name, Path(folder), REPORT)
            found = next(Path(folder).rglob("report.json"), None)
            if found is None:
                jobs.ended_well(self._client, self.get(name))
                raise InputError(f"job {name!r}: it left no report; see {self.get(name).studio_url}")
            report: dict[str, Any] = read_json(found)
            return report

    def named(self, job: str) -> str:
        """The latest job of that display name. Raises InputError when there is none."""
        found = next((one.name for one in self.list() if one.display_name == job), None)
        if found is None:
            raise InputError(f"job {job!r}: the workspace has none of that name among its latest; send it first")
        return found

    def measured(self, name: str, who: str, rows: Path) -> Mapping[str, float | None]:
        raise InputError(
            f"test_data {str(rows)!r}: job {name!r} answers the rows that it was sent with; set test_data in the job, "
            f"or fetch the {who} and measure it on this machine"
        )
