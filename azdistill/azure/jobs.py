"""Submitted jobs: status, log, outputs, cancellation, and the gate's decision."""

import contextlib
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.download_limit import limited_download
from azdistill.azure.errors import translate_errors
from azdistill.azure.nodes import (
    COMPLETED,
    FAILED,
    FINAL_STATUSES,
    NodeStatus,
    failed_nodes,
    failure_reason,
    node_statuses,
    text_of,
)
from azdistill.azure.submission import find_job
from azdistill.contracts.errors import AzdistillError, GateRefused, GateUnknown, InputError, NodeFailed
from azdistill.contracts.layout import EVALUATION_OUTPUT, GATE_FILE, REGISTER_NODE
from azdistill.contracts.results import GateDecision, read_result
from azdistill.engine.problems import Problem, suggest

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Seconds between two polls of a job whose log has ended, but which Azure ML still finalizes.
FINALIZING_POLL_S = 5.0
# Seconds between two polls of the nodes of a job whose log is streamed.
NODES_POLL_S = 20.0

# Jobs that a list shows.
MAX_LISTED = 50


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
        return _status(job, *node_statuses(client, name))


def list_jobs(client: "MLClient") -> Iterator[JobStatus]:
    """The MAX_LISTED latest jobs of the workspace, without their nodes."""
    with translate_errors("jobs"):
        yield from map(_status, itertools.islice(client.jobs.list(), MAX_LISTED))


def stream(
    client: "MLClient",
    name: str,
    poll_s: float = FINALIZING_POLL_S,
    on_node: Callable[[NodeStatus], None] | None = None,
) -> JobStatus:
    """Print the job's log with the SDK until the job ends, and return its status.

    The log of a pipeline does not show that a node waits for a VM: `on_node` is called with each new status of a node,
    in another thread. Raises what `raise_for_failure` raises.
    """
    from azure.ai.ml.exceptions import JobException

    is_pipeline = _get(client, name).type == "pipeline"
    # JobException: the job failed; `raise_for_failure` reports it.
    with (
        _watching_nodes(client, name, on_node) if on_node and is_pipeline else contextlib.nullcontext(),
        translate_errors(f"job {name!r}"),
        contextlib.suppress(JobException),
    ):
        client.jobs.stream(name)
    while not status(client, name, nodes=False).ended:
        time.sleep(poll_s)
    job = status(client, name)
    raise_for_failure(client, job)
    return job


@contextlib.contextmanager
def _watching_nodes(client: "MLClient", name: str, on_node: Callable[[NodeStatus], None]) -> Iterator[None]:
    """Call `on_node` for each change of a node, until the block ends and once more then. A failed look is repeated."""
    known: dict[str, str] = {}
    ended = threading.Event()

    def look() -> None:
        with contextlib.suppress(AzdistillError), translate_errors(f"job {name!r}"):
            for node in node_statuses(client, name):
                if known.get(node.job) != node.status:
                    known[node.job] = node.status
                    on_node(node)

    def watch() -> None:
        look()
        while not ended.wait(NODES_POLL_S):
            look()

    thread = threading.Thread(target=watch, name=f"nodes of {name}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    look()


def raise_for_failure(client: "MLClient", job: JobStatus) -> None:
    """Raise an error for an ended job that did not succeed, by its nodes and its gate.json.

    The status does not say it: Azure ML reports a pipeline that continues after a failed node as Completed or as
    Failed. Raises GateRefused for a refused student, NodeFailed for another failure, and GateUnknown when gate.json
    cannot be read and no other node failed.
    """
    if not job.ended:
        return
    failure = _failure(client, job)
    gate = None
    if job.status in (COMPLETED, FAILED):
        try:
            gate = _read_gate(client, job, failure)
        except AzdistillError as error:
            raise _without_gate(job, failure, error) from None
    if gate and not gate.register_student:
        raise GateRefused(
            f"the gate's decision is {gate.decision!r}, so the student is not registered",
            subject=f"job {job.name!r}",
            fix="see the job's report",
            command=f"azdistill download {job.name} --output report",
            problems=[failure] if failure and _other_failed_nodes(job) else (),
        )
    if failure:
        raise NodeFailed(problems=[failure])


def with_outcome(client: "MLClient", job: JobStatus) -> JobStatus:
    """The job with status Failed if Azure ML reports it as Completed although a node failed or the gate refused.

    Raises GateUnknown when gate.json cannot be read.
    """
    if job.status == COMPLETED:
        try:
            raise_for_failure(client, job)
        except (NodeFailed, GateRefused):
            return replace(job, status=FAILED)
    return job


def _failure(client: "MLClient", job: JobStatus) -> Problem | None:
    """The failure of a job with the reason of the first failed node, such as an image that could not be built."""
    failed = ", ".join(failed_nodes(job.nodes))
    if job.status == COMPLETED and not failed:
        return None
    message = f"{job.status} in {failed}" if failed else job.status
    message = f"Azure ML reports {COMPLETED}, but {failed} failed" if job.status == COMPLETED else message
    reason = failure_reason(client, job.nodes)
    return Problem(
        code="job_failed",
        subject=f"job {job.name!r}",
        message=f"{message}: {reason}" if reason else message,
        fix=f"see {job.studio_url}, correct the cause and submit again: completed nodes are reused",
    )


def _other_failed_nodes(job: JobStatus) -> bool:
    """True if a node failed other than the one that refuses a student."""
    return any(node != REGISTER_NODE for node in failed_nodes(job.nodes))


def _read_gate(client: "MLClient", job: JobStatus, failure: Problem | None) -> GateDecision | None:
    """The gate of an ended job. None: a failed job ended before its evaluation, or the pipeline has none."""
    declared, gate = download_gate(client, job.name)
    if gate is None and declared and failure is None:
        raise AzdistillError(
            f"it has no {GATE_FILE}", subject=f"job {job.name!r}, output {EVALUATION_OUTPUT}", code="no_gate"
        )
    return gate


def _without_gate(job: JobStatus, failure: Problem | None, error: AzdistillError) -> AzdistillError:
    """The error of a job whose gate.json cannot be read."""
    if failure and _other_failed_nodes(job):
        return NodeFailed(problems=[failure, *error.problems])
    return GateUnknown(
        f"{job.status}, and {GATE_FILE} cannot be read: it is not known whether the student passed its gates",
        subject=f"job {job.name!r}",
        fix="correct the cause below and look again",
        command=f"azdistill status {job.name}",
        problems=[*([failure] if failure else []), *error.problems],
    )


def download_gate(client: "MLClient", name: str) -> tuple[bool, GateDecision | None]:
    """True if an ended job has an output for its evaluation, and the content of gate.json if the job has written one.

    Raises AzdistillError when the file cannot be downloaded, so that the decision is unknown.
    """
    if EVALUATION_OUTPUT not in outputs(client, name):
        return False, None
    with tempfile.TemporaryDirectory() as folder:
        download(client, name, Path(folder), EVALUATION_OUTPUT)
        path = next(Path(folder).rglob(GATE_FILE), None)
        return True, read_result(path, GateDecision) if path else None


def cancel(client: "MLClient", name: str) -> JobStatus:
    """Ask Azure ML to cancel a job, which takes a while. An ended job is not changed."""
    if not status(client, name, nodes=False).ended:
        with translate_errors(f"job {name!r}"):
            client.jobs.begin_cancel(name).result()
    return status(client, name, nodes=False)


def outputs(client: "MLClient", name: str) -> dict[str, str]:
    """Path of each output of a job, empty where the job has not written it yet. Those of a node's own job are not
    known: the SDK reads it from run history."""
    ports = getattr(_get(client, name), "outputs", None) or {}
    return {output: getattr(port, "path", None) or "" for output, port in ports.items()}


def download(client: "MLClient", name: str, folder: Path, output: str | None = None) -> Path:
    """Download one output of a job, or all, into `folder`. Raises InputError for an output that the job lacks."""
    known = outputs(client, name)
    if output is not None and output not in known:
        raise InputError(
            f"no output {output!r}", subject=f"job {name!r}", code="unknown_output", fix=suggest(output, known)
        )
    with limited_download(folder), translate_errors(f"job {name!r}, output {output or 'all'}"):
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
