"""The outcome of a job: its gate.json, its report and the registered model, downloaded whatever its status is."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.azure.nodes import COMPLETED, FINAL_STATUSES
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.layout import (
    EVALUATION_OUTPUT,
    GATE_FILE,
    LINEAGE_FILE,
    REGISTRATION_OUTPUT,
    REPORT_MARKDOWN_FILE,
    REPORT_OUTPUT,
)
from azdistill.contracts.results import GateDecision, GateResult, read_result
from scripts.cd.az import AzureCli
from scripts.cd.errors import AzFailed
from scripts.cd.settings import Target

# In the folder of a verb's results: what `summary`, `comment`, `cancel` and `promote` read.
JOB_FILE = "job.json"
GATE_UNKNOWN = "unknown"


@dataclass(frozen=True)
class Job:
    """A job in the workspace."""

    name: str
    status: str
    studio_url: str = ""

    @property
    def ended(self) -> bool:
        return self.status in FINAL_STATUSES


@dataclass(frozen=True)
class Outcome:
    """An ended job. `gate` is None where gate.json was not written or cannot be read; `unread` says why.

    `model` and `version` are those of the registered student, empty if it is not registered.
    """

    job: Job
    gate: GateDecision | None
    unread: str = ""
    model: str = ""
    version: str = ""

    @property
    def decision(self) -> str:
        """passed, refused, inconclusive or unknown."""
        return self.gate.decision if self.gate else GATE_UNKNOWN

    @property
    def decided(self) -> bool:
        """True if another attempt of the same job would not add anything."""
        return self.decision in ("refused", "inconclusive") or (self.decision == "passed" and bool(self.model))

    def outputs(self) -> dict[str, str]:
        """Outputs of a workflow's step."""
        return {
            "job": self.job.name,
            "status": self.job.status,
            "studio_url": self.job.studio_url,
            "gate": self.decision,
            "model": self.model,
            "version": self.version,
        }


def show_job(az: AzureCli, target: Target, name: str, assume: str = COMPLETED) -> Job:
    """The job as it is now. Raises AzNotFound if the workspace has none of that name."""
    reply = az("ml", "job", "show", "--name", name, *target.workspace_options, assume={"status": assume})
    services = reply.get("services") or {}
    studio = services.get("Studio") or {}
    return Job(name, str(reply.get("status", "")), str(studio.get("endpoint", "")))


def read_outcome(az: AzureCli, target: Target, job: Job, folder: Path) -> Outcome:
    """Download evaluation, report and registration of an ended job into `folder`, and read them."""
    gate, unread = None, ""
    try:
        evaluation = download(az, target, job.name, EVALUATION_OUTPUT, folder)
        gate = _dry_gate() if az.dry_run else read_result(_file(evaluation, GATE_FILE), GateDecision)
    except (AzFailed, DataError) as error:
        unread = str(error)
    model, version = "", ""
    for output in (REPORT_OUTPUT, REGISTRATION_OUTPUT):
        try:
            download(az, target, job.name, output, folder)
        except AzFailed as error:
            az.report(f"job {job.name}: output {output} was not downloaded ({error})")
    if lineage := read_lineage(folder):
        model, version = str(lineage["registered_model"]), str(lineage["version"])
    if az.dry_run:
        model, version = "MODEL", "VERSION"
    return Outcome(job, gate, unread, model, version)


def download(az: AzureCli, target: Target, job: str, output: str, folder: Path) -> Path:
    """Download an output into `folder`/OUTPUT, in place of an earlier one."""
    path = folder / output
    if not az.dry_run:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    options = ("--name", job, "--output-name", output, "--download-path", str(path))
    az("ml", "job", "download", *options, *target.workspace_options)
    return path


def _file(folder: Path, name: str) -> Path:
    """A downloaded file, which the extension puts into named-outputs/OUTPUT. Raises DataError without one."""
    path = next(iter(sorted(folder.rglob(name))), None)
    if path is None:
        raise DataError(f"the output has no {name}", file=folder, code="missing_file")
    return path


def _dry_gate() -> GateDecision:
    """A passed gate, which a dry run assumes."""
    gate = GateResult(name="assumed", bound=0, value=1, low=1, high=1, outcome="passed")
    return GateDecision(decision="passed", enforced=True, register_student=True, gates=(gate,))


def read_lineage(folder: Path) -> dict[str, Any] | None:
    """The downloaded lineage.json, None without one: the student was not registered."""
    path = next(iter(sorted((folder / REGISTRATION_OUTPUT).rglob(LINEAGE_FILE))), None)
    if path is None:
        return None
    lineage: dict[str, Any] = read_json(path)
    return lineage


def report_markdown(folder: Path) -> str:
    """The downloaded report.md, empty without one."""
    path = next(iter(sorted((folder / REPORT_OUTPUT).rglob(REPORT_MARKDOWN_FILE))), None)
    return path.read_text(encoding="utf-8") if path else ""


def write_job(folder: Path, values: dict[str, str]) -> None:
    """Keep the job's name and outcome for the verbs that follow."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / JOB_FILE, values)


def read_job(folder: Path) -> dict[str, str]:
    """Name and outcome of the job, as `write_job` wrote them. Raises DataError without the file."""
    path = folder / JOB_FILE
    try:
        values: dict[str, str] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise DataError(
            "no results of a job", file=path, code="missing_file", fix="run the verb `train` first"
        ) from None
    return values
