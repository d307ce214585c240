"""Submit a bundle once: the job's name is a hash of the submitted content, and the number of the attempt."""

import hashlib
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import translate_errors
from azdistill.azure.nodes import COMPLETED, FAILED_STATUSES, failed_nodes, node_statuses, text_of
from azdistill.azure.offline import load_pipeline_job
from azdistill.azure.registry import pipeline_from_registry
from azdistill.azure.workspace import fast_validation, fewer_requests
from azdistill.contracts.errors import InputError, PipelineError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.contracts.manifest import sha256_file
from azdistill.engine.problems import suggest
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Azure ML's limit is 255 characters.
LONGEST_NAME = 200
HASH_DIGITS = 12


@dataclass(frozen=True)
class Submission:
    """A submitted job. `attached` is true for a job that was in the workspace already: nothing was sent."""

    name: str
    status: str
    studio_url: str
    attached: bool


def submit(
    client: "MLClient",
    bundle: Path,
    inputs: Mapping[str, str] | None = None,
    *,
    registry: str | None = None,
    again: bool = False,
) -> Submission:
    """Submit a bundle, with `inputs` replacing values of pipeline inputs.

    With `registry`, the nodes run the components published there, and only the bundle's inputs are uploaded. A job of
    the same bundle and inputs that is running or completed is attached to; one that failed, was cancelled or has a
    failed node gets the next attempt, with `again` a completed one too. Raises InputError for what Azure refuses,
    AzdistillError for what may pass by waiting.
    """
    inputs = dict(inputs or {})
    base = job_name(bundle, inputs, registry)
    with translate_errors(f"job {base!r}"):
        for attempt in count(1):
            name = f"{base}-{attempt}"
            job = find_job(client, name)
            if job is None:
                return _send(client, bundle, name, inputs, registry)
            if not (again and job.status == COMPLETED) and not _has_failed(client, job):
                return _submission(job, attached=True)
    raise AssertionError("unreachable: attempts are counted without end")


def _has_failed(client: "MLClient", job: Any) -> bool:
    """True for a failed job, and for one that Azure ML reports as completed although a node failed."""
    status = text_of(job.status)
    if status != COMPLETED or job.type != "pipeline":
        return status in FAILED_STATUSES
    return bool(failed_nodes(node_statuses(client, job.name)))


def job_name(bundle: Path, inputs: Mapping[str, str], registry: str | None = None) -> str:
    """Name without the attempt: display name and a hash of the bundle's files, the replaced inputs and the registry."""
    document = _read_pipeline(bundle, inputs)
    digest = hashlib.sha256()
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(bundle).as_posix()} {sha256_file(path)}\n".encode())
    digest.update("".join(f"{name}={value}\n" for name, value in sorted(inputs.items())).encode())
    digest.update(f"registry {registry}\n".encode() if registry else b"")
    display_name = str(document.get("display_name") or bundle.resolve().name)
    readable = re.sub(r"[^A-Za-z0-9_-]", "-", display_name).strip("-_")
    return f"{readable[:LONGEST_NAME]}-{digest.hexdigest()[:HASH_DIGITS]}".lstrip("-")


def _read_pipeline(bundle: Path, inputs: Mapping[str, str]) -> Mapping[str, Any]:
    """Raises InputError for a folder without a pipeline, an unknown input, and a simulated teacher or judge."""
    if not (bundle / PIPELINE_FILE).is_file():
        raise InputError(
            f"no {PIPELINE_FILE} in this folder",
            file=bundle,
            code="no_bundle",
            fix="compile a job into it",
            command=shlex.join(["azdistill", "compile", "JOB", "-o", str(bundle)]),
        )
    document: dict[str, Any] = read_document(bundle / PIPELINE_FILE, PipelineError, "pipeline").value
    known = document.get("inputs", {})
    if unknown := sorted(inputs.keys() - known.keys()):
        raise InputError(
            "the bundle has no such input",
            field=("inputs", unknown[0]),
            code="unknown_input",
            fix=suggest(unknown[0], known),
        )
    for role in ("teacher", "judge"):
        if inputs.get(f"{role}_route", known.get(f"{role}_route")) == "simulated":
            raise InputError(
                f"the simulated {role} runs on this machine, out of reach for a job in Azure",
                field=("inputs", f"{role}_route"),
                value="simulated",
                code=f"simulated_{role}",
                fix="set it to endpoint, or test the job on this machine",
                command="azdistill run JOB --dry-run",
            )
    return document


def find_job(client: "MLClient", name: str) -> Any:
    """The job of that name, None when the workspace has none. Raises what the SDK raises for a missing workspace."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return client.jobs.get(name)
    except ResourceNotFoundError as error:
        if getattr(error.error, "code", None) == "ResourceGroupNotFound" or "workspaces" in str(error.reason or ""):
            raise
        return None


def _send(client: "MLClient", bundle: Path, name: str, inputs: Mapping[str, str], registry: str | None) -> Submission:
    """Loads the pipeline file for each submission, because the SDK changes the object that it sends."""
    from azure.core.exceptions import ResourceExistsError

    overrides = [{"name": name}, *({f"inputs.{key}": value} for key, value in inputs.items())]
    source = pipeline_from_registry(bundle, registry) if registry else bundle / PIPELINE_FILE
    try:
        with fast_validation(), fewer_requests(client):
            job = load_pipeline_job(bundle / PIPELINE_FILE, source, overrides)
            return _submission(client.jobs.create_or_update(job), attached=False)
    except ResourceExistsError:  # someone else submitted it at the same moment
        return _submission(client.jobs.get(name), attached=True)


def _submission(job: Any, *, attached: bool) -> Submission:
    return Submission(job.name, text_of(job.status), job.studio_url or "", attached)
