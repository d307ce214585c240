"""A bundle to a pipeline job, once: the job's name is the hash of what was sent, and the number of the attempt."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.offline import load_pipeline_job
from azdistill.azure.problems import asking
from azdistill.azure.registry import from_registry
from azdistill.azure.workspace import hushed, unhindered
from azdistill.contracts.errors import InputError, PipelineError
from azdistill.contracts.manifest import sha256_file
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

PIPELINE = "pipeline.yml"
ENDED_BADLY = frozenset({"Failed", "Canceled", "NotResponding"})
LONGEST_NAME = 200
HASH_DIGITS = 12


@dataclass(frozen=True)
class Submitted:
    """A job in the workspace. `attached`: it was there already, and nothing was sent."""

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
) -> Submitted:
    """Send a bundle, with `inputs` of the pipeline set to other values, unless it was sent before. With a `registry`
    its nodes run what was published there, and nothing but its inputs is uploaded.

    A job of the same bundle and inputs that is on its way or done is attached to; one that failed or was cancelled
    gets a next attempt. `again` gives a done one a next attempt, too. Raises InputError for what Azure refuses,
    AzdistillError for what passes by itself.
    """
    given = dict(inputs or {})
    base = job_name(bundle, given, registry)
    with asking(f"job {base!r}"):
        for attempt in count(1):
            found = find(client, f"{base}-{attempt}")
            if found is None:
                return _sent(client, bundle, f"{base}-{attempt}", given, registry)
            if found.status not in ENDED_BADLY and not (again and found.status == "Completed"):
                return _told(found, attached=True)
    raise AssertionError("attempts don't end")


def job_name(bundle: Path, inputs: Mapping[str, str], registry: str | None = None) -> str:
    """The name without the attempt: of the bundle's files, the inputs that are set otherwise, and the registry."""
    document = _pipeline(bundle, inputs)
    told = hashlib.sha256()
    for path in sorted(path for path in bundle.rglob("*") if path.is_file()):
        told.update(f"{path.relative_to(bundle).as_posix()} {sha256_file(path)}\n".encode())
    told.update("".join(f"{name}={value}\n" for name, value in sorted(inputs.items())).encode())
    told.update(f"registry {registry}\n".encode() if registry else b"")
    shown = re.sub(r"[^A-Za-z0-9_-]", "-", str(document.get("display_name") or bundle.resolve().name)).strip("-_")
    return f"{shown[:LONGEST_NAME]}-{told.hexdigest()[:HASH_DIGITS]}".lstrip("-")


def _pipeline(bundle: Path, inputs: Mapping[str, str]) -> Mapping[str, Any]:
    """Raises InputError for a folder that is no bundle, an input that it has not, and a teacher that is simulated."""
    if not (bundle / PIPELINE).is_file():
        raise InputError(f"bundle {str(bundle)!r}: no {PIPELINE} in it; write one: azdistill compile JOB -o {bundle}")
    document: dict[str, Any] = read_document(bundle / PIPELINE, PipelineError, "pipeline").value
    known = document.get("inputs", {})
    if strange := sorted(inputs.keys() - known.keys()):
        raise InputError(f"inputs.{strange[0]}: the bundle has no such input; it has {', '.join(known)}")
    if inputs.get("teacher_route", known.get("teacher_route")) == "simulated":
        raise InputError(
            "inputs.teacher_route='simulated': the simulated teacher lives on this machine, out of reach for a job in "
            "Azure; set it to endpoint, or rehearse here: azdistill run JOB --dry-run"
        )
    return document


def find(client: "MLClient", name: str) -> Any:
    """The job of that name, None when there is none."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        return client.jobs.get(name)
    except ResourceNotFoundError as problem:
        if getattr(problem.error, "code", None) == "ResourceGroupNotFound" or "workspaces" in str(problem.reason or ""):
            raise
        return None


def _sent(client: "MLClient", bundle: Path, name: str, inputs: Mapping[str, str], registry: str | None) -> Submitted:
    """Loaded anew for each submission, as the SDK changes what it sends."""
    from azure.core.exceptions import ResourceExistsError

    overrides = [{"name": name}, *({f"inputs.{key}": value} for key, value in inputs.items())]
    source = from_registry(bundle, registry) if registry else bundle / PIPELINE
    try:
        with hushed(), unhindered():
            job = load_pipeline_job(bundle / PIPELINE, source, overrides)
            sent = client.jobs.create_or_update(job)
        return _told(sent, attached=False)
    except ResourceExistsError:  # somebody else sent it at this moment
        return _told(client.jobs.get(name), attached=True)


def _told(job: Any, *, attached: bool) -> Submitted:
    return Submitted(job.name, status_word(job.status), job.studio_url or "", attached)


def status_word(status: Any) -> str:
    """A text, or a member of an enumeration of texts, as the SDK has it."""
    return str(getattr(status, "value", status))
