"""A run folder as it lies there, read without the pipeline that it was made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError, GateRefused, InputError
from azdistill.contracts.files import read_json
from azdistill.engine.local.guards import locked
from azdistill.engine.local.records import RECORD_FILE, NodeRecord, read_record

RUNS = Path("runs")
EVALUATION = Path("evaluate", "evaluation")
LOCK = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """One run. `records` are the last tries of its nodes by name, the earliest to be written first."""

    path: Path
    records: Mapping[str, NodeRecord]

    @cached_property
    def in_use(self) -> bool:
        """Whether a run is under way here."""
        if not (self.path / LOCK).is_file():
            return False
        try:
            with locked(self.path):
                return False
        except InputError:
            return True

    @property
    def state(self) -> str:
        """Of the run as a whole. A run that was killed is interrupted."""
        states = {record.state for record in self.records.values()}
        if self.in_use:
            return "running"
        if "failed" in states:
            return "refused" if self._refused else "failed"
        return "interrupted" if states & {"running", "interrupted"} else "completed"

    @property
    def _refused(self) -> bool:
        codes = {record.exit_code for record in self.records.values() if record.state == "failed"}
        return codes == {GateRefused.exit_code} and self.decision not in ("", "passed")

    @property
    def decision(self) -> str:
        """What the gates decided last; empty when there is no evaluation yet."""
        return str(self._evaluation("gate.json", "decision") or "")

    @property
    def accuracy(self) -> float | None:
        """The student's on the test rows when it was last evaluated, 0 to 1."""
        value = self._evaluation("metrics.json", "models", "student", "accuracy", "value")
        return float(value) if isinstance(value, int | float) else None

    @property
    def seconds(self) -> float:
        """The time of all nodes together; some may have run side by side."""
        return sum(record.seconds for record in self.records.values())

    @property
    def when(self) -> float:
        """When a node last started or ended, seconds since the epoch."""
        return max((self.path / node / RECORD_FILE).stat().st_mtime for node in self.records)

    def _evaluation(self, file: str, *fields: str) -> Any:
        try:
            found = read_json(self.path / EVALUATION / file)
            for field in fields:
                found = found[field]
        except (DataError, KeyError, TypeError):
            return None
        return found


def run_at(path: Path) -> RunFolder | None:
    """The run in a folder, None when there is none."""
    written = sorted(path.glob(f"*/{RECORD_FILE}"), key=lambda record: record.stat().st_mtime)
    records = {file.parent.name: record for file in written if (record := read_record(file.parent))}
    return RunFolder(path, records) if records else None


def runs_in(folder: Path) -> Iterator[RunFolder]:
    """The runs in a folder, the latest first."""
    found = [run for path in (folder.iterdir() if folder.is_dir() else ()) if (run := run_at(path))]
    yield from sorted(found, key=lambda run: run.when, reverse=True)


def the_run(path: Path) -> RunFolder:
    """The run that a person names: a folder, or a name in runs/. Raises InputError when there is none."""
    options = (path, RUNS / path)
    if run := next((run for option in options if (run := run_at(option))), None):
        return run
    names = ", ".join(run.path.name for run in runs_in(RUNS)) or "none"
    raise InputError(f"{str(path)!r}: no run lies here; name a run folder. In {RUNS}/ there are: {names}")
