"""Submitted jobs: status, log, outputs, cancellation, and the gate's decision."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import translate_errors
from azdistill.azure.submission import find_job, text_of
from azdistill.contracts.errors import AzdistillError, GateRefused, InputError, NodeFailed
from azdistill.contracts.layout import EVALUATION_OUTPUT, GATE_FILE
from azdistill.contracts.results import GateDecision, read_result
from azdistill.engine.problems import Problem, suggest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

COMPLETED, FAILED = "Completed", "Failed"
FINAL_STATUSES = frozenset({COMPLETED, FAILED, "Canceled", "NotResponding"})


@dataclass(frozen=True)
class NodeStatus:
    """Status of one node. `job` is the name of the node's own job in the workspace."""

    node: str
    job: str
    status: str


@dataclass(frozen=True)
class JobStatus:
    """Status of a job and its nodes, in Azure ML's terms: NotStarted, Queued, Running, Completed, Failed, ..."""

    name: str
    display_name: str
    status: str
    studio_url: str
    nodes: tuple[NodeStatus, ...] = ()

    @property
    def ended(self) -> bool:
        return self.status in FINAL_STATUSES


def status(client: "MLClient", name: str, *, nodes: bool = True) -> JobStatus:
    """Status of a job, with that of its nodes if `nodes`. Raises InputError for an unknown name."""
    job = _get(client, name)
    if not nodes or job.type != "pipeline":
        return _status(job)
    with translate_errors(f"job {name!r}"):
        children = client.jobs.list(parent_job_name=name)
        return _status(job, *(NodeStatus(c.display_name or c.name, c.name, text_of(c.status)) for c in children))


def list_jobs(client: "MLClient", limit: int = 50) -> Iterator[JobStatus]:
    """The latest pipeline jobs of the workspace, without their nodes."""
    with translate_errors("jobs"):
        for number, job in enumerate(client.jobs.list()):
            if number == limit:
                return
            yield _status(job)


def stream(client: "MLClient", name: str) -> JobStatus:
    """Print the job's log with the SDK until the job ends, and return its status.

    Raises GateRefused when the job failed because the gate refused the student, NodeFailed for any other failure.
    """
    from azure.ai.ml.exceptions import JobException

    _get(client, name)
    # JobException: the job failed; `raise_for_failure` reports it.
    with translate_errors(f"job {name!r}"), contextlib.suppress(JobException):
        client.jobs.stream(name)
    job = status(client, name)
    raise_for_failure(client, job)
    return job


def raise_for_failure(client: "MLClient", job: JobStatus) -> None:
    """Raise what `stream` raises, for a job that failed or was cancelled."""
    if job.status == COMPLETED or not job.ended:
        return
    subject = f"job {job.name!r}"
    failed_nodes = ", ".join(node.node for node in job.nodes if node.status == FAILED)
    failure = Problem(
        code="job_failed",
        subject=subject,
        message=f"{job.status} in {failed_nodes}" if failed_nodes else job.status,
        fix=f"see {job.studio_url}, correct the cause and submit again: completed nodes are reused",
    )
    try:
        gate = download_gate(client, job.name) if job.status == FAILED else None
    except AzdistillError as error:
        raise NodeFailed(problems=[failure, *error.problems]) from None
    if gate and not gate.register_student:
        raise GateRefused(
            f"the gate's decision is {gate.decision!r}, so the student is not registered",
            subject=subject,
            fix="see the job's report",
            command=f"azdistill download {job.name} --output report",
        )
    raise NodeFailed(problems=[failure])


def download_gate(client: "MLClient", name: str) -> GateDecision | None:
    """Content of gate.json of an ended job, None when the job ended before its evaluation wrote one.

    Raises AzdistillError when the file cannot be downloaded, so that the decision is unknown.
    """
    if EVALUATION_OUTPUT not in outputs(client, name):
        return None
    with tempfile.TemporaryDirectory() as folder:
        download(client, name, Path(folder), EVALUATION_OUTPUT)
        path = next(Path(folder).rglob(GATE_FILE), None)
        return read_result(path, GateDecision) if path else None


def cancel(client: "MLClient", name: str) -> JobStatus:
    """Ask Azure ML to cancel a job, which takes a while. An ended job is left as it is."""
    if not status(client, name, nodes=False).ended:
        with translate_errors(f"job {name!r}"):
            client.jobs.begin_cancel(name).result()
    return status(client, name, nodes=False)


def outputs(client: "MLClient", name: str) -> dict[str, str]:
    """Path of each output of a job, empty where the job has not written it yet."""
    return {output: getattr(port, "path", None) or "" for output, port in _get(client, name).outputs.items()}


def download(client: "MLClient", name: str, folder: Path, output: str | None = None) -> Path:
    """Download one output of a job, or all, into `folder`. Raises InputError for an output that the job lacks."""
    known = outputs(client, name)
    if output is not None and output not in known:
        raise InputError(
            f"no output {output!r}", subject=f"job {name!r}", code="unknown_output", fix=suggest(output, known)
        )
    with translate_errors(f"job {name!r}, output {output or 'all'}"):
        client.jobs.download(name, download_path=folder, output_name=output, all=output is None)
    return folder


def _get(client: "MLClient", name: str) -> Any:
    with translate_errors(f"job {name!r}"):
        job = find_job(client, name)
    if job is None:
        raise InputError(
            "the workspace has no such job",
            subject=f"job {name!r}",
            code="not_found",
            fix="list the latest jobs",
            command="azdistill status",
        )
    return job


def _status(job: Any, *nodes: NodeStatus) -> JobStatus:
    return JobStatus(job.name, job.display_name or job.name, text_of(job.status), job.studio_url or "", nodes)
