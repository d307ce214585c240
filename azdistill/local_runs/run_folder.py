"""Read a run folder, without the pipeline that it belongs to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from azdistill.contracts.errors import DataError, GateRefused, InputError
from azdistill.contracts.layout import GATE_FILE, MANIFEST_FILE, METRICS_FILE, RUN_EVALUATION
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.problems import Problem
from azdistill.contracts.results import Document, GateDecision, Metrics, read_result
from azdistill.engine.local.guards import locked
from azdistill.engine.local.records import RECORD_FILE, NodeRecord, read_record

# Default folder of run folders.
RUNS = Path("runs")
LOCK = ".lock"
# File with the path of the pipeline that last ran in a run folder. Hidden, because the other entries are nodes.
PIPELINE_PATH = ".pipeline"
# File with the number of nodes of this pipeline.
NODE_COUNT = ".nodes"
# States of a run whose evaluation and report are its own, and not those of an earlier attempt.
REPORTED = ("completed", "refused", "inconclusive")


@dataclass(frozen=True)
class RunFolder:
    """A run. `records` are those of the last attempts of its nodes by name, in the order in which they were written."""

    path: Path
    records: Mapping[str, NodeRecord]

    @cached_property
    def in_use(self) -> bool:
        """True if a run is in progress in this folder."""
        if not (self.path / LOCK).is_file():
            return False
        try:
            with locked(self.path, wait_s=0):
                return False
        except InputError:
            return True

    @property
    def state(self) -> str:
        """running, failed, interrupted or completed; the gate's decision, refused or inconclusive, if that alone ended
        the run. A killed run is interrupted."""
        states = {record.state for record in self.records.values()}
        if self.in_use:
            return "running"
        if "failed" in states:
            return self.decision if self._is_refused else "failed"
        return "interrupted" if states & {"running", "interrupted"} else "completed"

    def node_state(self, node: str) -> str:
        """State of a node. A node that ran when its run was killed is interrupted."""
        state = self.records[node].state
        return "interrupted" if state == "running" and not self.in_use else state

    @property
    def _is_refused(self) -> bool:
        codes = {record.exit_code for record in self.records.values() if record.state == "failed"}
        return codes == {GateRefused.exit_code} and self.decision not in ("", "passed")

    @property
    def node_count(self) -> int:
        """The number of nodes of its pipeline, those that did not run included."""
        try:
            count = int((self.path / NODE_COUNT).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # a run of an earlier version, or a damaged file
            count = 0
        return max(count, len(self.records))

    @property
    def decision(self) -> str:
        """Last decision of the gate, empty without an evaluation."""
        gate = self._evaluation(GATE_FILE, GateDecision)
        return gate.decision if gate else ""

    @property
    def score(self) -> tuple[str, float | None]:
        """Name and value of the student's primary metric in the last evaluation; an empty name without one."""
        metrics = self._evaluation(METRICS_FILE, Metrics)
        name = metrics.primary_metric if metrics else ""
        student = metrics.models.get("student") if metrics else None
        return name, student.value(name) if student else None

    def damage(self) -> Iterator[Problem]:
        """A problem for each folder with a file that is not as its step wrote it. Reads all bytes of all steps."""
        for manifest in sorted(self.path.glob(f"*/*/{MANIFEST_FILE}")):
            try:
                read_manifest(manifest.parent, whole=True)
            except DataError as error:
                yield from error.problems

    @property
    def seconds(self) -> float:
        """Sum of the times of all nodes; some may have run at the same time."""
        return sum(record.seconds for record in self.records.values())

    @property
    def last_active(self) -> float:
        """Time at which a node last started or ended, in seconds since the epoch."""
        return max((self.path / node / RECORD_FILE).stat().st_mtime for node in self.records)

    def _evaluation(self, file: str, result: type[Document]) -> Document | None:
        try:
            return read_result(self.path / RUN_EVALUATION / file, result)
        except DataError:
            return None


def read_run(path: Path) -> RunFolder | None:
    """The run in a folder, None if the folder has no run."""
    files = sorted(path.glob(f"*/{RECORD_FILE}"), key=lambda file: file.stat().st_mtime)
    records = {file.parent.name: record for file in files if (record := read_record(file.parent))}
    return RunFolder(path, records) if records else None


def runs_in(folder: Path) -> Iterator[RunFolder]:
    """The runs in a folder, the latest first."""
    paths = folder.iterdir() if folder.is_dir() else ()
    runs = [run for path in paths if (run := read_run(path))]
    yield from sorted(runs, key=lambda run: run.last_active, reverse=True)


def find_run(path: Path) -> RunFolder:
    """The run in a folder, or the one with this name in runs/. Raises InputError if neither exists."""
    for candidate in (path, RUNS / path):
        if run := read_run(candidate):
            return run
    names = ", ".join(run.path.name for run in runs_in(RUNS)) or "none"
    raise InputError(
        "not a run folder", file=path, code="no_run", fix=f"give a run folder, or a name in {RUNS}/, which has: {names}"
    )
