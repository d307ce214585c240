"""A job that was submitted: where it is, what it says, and what it made."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.problems import asking
from azdistill.azure.submission import find, status_word
from azdistill.contracts.errors import AzdistillError, GateRefused, InputError, NodeFailed
from azdistill.contracts.files import read_json

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

COMPLETED, FAILED = "Completed", "Failed"
ENDED = frozenset({COMPLETED, FAILED, "Canceled", "NotResponding"})
EVALUATION, GATE = "evaluation", "gate.json"


@dataclass(frozen=True)
class NodeStatus:
    """One node of a pipeline job; `job` is the name of its own job in the workspace."""

    node: str
    job: str
    status: str


@dataclass(frozen=True)
class JobStatus:
    """A job and its nodes, in the words of Azure ML: NotStarted, Queued, Running, Completed, Failed, Canceled, ..."""

    name: str
    display_name: str
    status: str
    studio_url: str
    nodes: tuple[NodeStatus, ...] = ()

    @property
    def ended(self) -> bool:
        return self.status in ENDED


def status(client: "MLClient", name: str, *, nodes: bool = True) -> JobStatus:
    """Raises InputError for a name that the workspace has not."""
    job = _job(client, name)
    with asking(f"job {name!r}"):
        children = client.jobs.list(parent_job_name=name) if nodes and job.type == "pipeline" else ()
        found = tuple(
            NodeStatus(child.display_name or child.name, child.name, status_word(child.status)) for child in children
        )
    return _status(job, found)


def listed(client: "MLClient", most: int = 50) -> Iterator[JobStatus]:
    """The latest pipeline jobs of the workspace."""
    with asking("jobs"):
        for number, job in enumerate(client.jobs.list()):
            if number == most:
                return
            yield _status(job)


def stream(client: "MLClient", name: str) -> JobStatus:
    """Print what the job says until it has ended, and tell how. Raises GateRefused when it failed as the student was
    refused, NodeFailed when it failed otherwise."""
    from azure.ai.ml.exceptions import JobException

    _job(client, name)
    with asking(f"job {name!r}"), contextlib.suppress(JobException):  # it failed, which is told with what to do
        client.jobs.stream(name)
    return ended_well(client, status(client, name))


def ended_well(client: "MLClient", found: JobStatus) -> JobStatus:
    """The same job, when it is done or on its way. Raises what `stream` does."""
    if found.status == COMPLETED or not found.ended:
        return found
    gate = gate_of(client, found.name) if found.status == FAILED else None
    if gate and not gate["register"]:
        raise GateRefused(f"job {found.name!r}: the student is {gate['decision']}, so it gets no name; see its report")
    broken = ", ".join(node.node for node in found.nodes if node.status == FAILED)
    raise NodeFailed(
        f"job {found.name!r}: {found.status}{f' in {broken}' if broken else ''}; see {found.studio_url}, mend it and "
        "submit again: what was done before is reused"
    )


def gate_of(client: "MLClient", name: str) -> dict[str, Any] | None:
    """The verdict of a job's evaluation; None when it did not come so far."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            download(client, name, Path(folder), EVALUATION)
        except AzdistillError:
            return None
        found = next(Path(folder).rglob(GATE), None)
        return read_json(found) if found else None


def cancel(client: "MLClient", name: str) -> JobStatus:
    """Ask for the end of a job, which takes a while; one that has ended is left as it is."""
    found = status(client, name, nodes=False)
    if not found.ended:
        with asking(f"job {name!r}"):
            client.jobs.begin_cancel(name).result()
    return status(client, name, nodes=False)


def outputs(client: "MLClient", name: str) -> dict[str, str]:
    """The outputs of a job by name, and where they lie; those that have no place yet are empty."""
    return {output: getattr(port, "path", None) or "" for output, port in _job(client, name).outputs.items()}


def download(client: "MLClient", name: str, folder: Path, output: str | None = None) -> Path:
    """Fetch one output of a job, or all of them, into `folder`. Raises InputError for an output that it has not."""
    known = outputs(client, name)
    if output is not None and output not in known:
        raise InputError(f"job {name!r}: no output {output!r}; it has {', '.join(known) or 'none'}")
    with asking(f"job {name!r}, output {output or 'all'}"):
        client.jobs.download(name, download_path=folder, output_name=output, all=output is None)
    return folder


def _job(client: "MLClient", name: str) -> Any:
    with asking(f"job {name!r}"):
        job = find(client, name)
    if job is None:
        raise InputError(f"job {name!r}: the workspace has no such job; azdistill status lists the latest")
    return job


def _status(job: Any, nodes: tuple[NodeStatus, ...] = ()) -> JobStatus:
    return JobStatus(job.name, job.display_name or job.name, status_word(job.status), job.studio_url or "", nodes)
