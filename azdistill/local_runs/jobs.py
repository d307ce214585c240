"""Jobs of this machine, as a client of a workspace has them: a folder of run folders."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.task import OWN
from azdistill.engine.local.attempts import LOG
from azdistill.engine.local.results import Event
from azdistill.local_runs.request import RunRequest
from azdistill.local_runs.run import run, with_replacements
from azdistill.local_runs.run_folder import RunFolder, read_run, runs_in

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

STATES = {"completed": "Completed", "running": "Running", "interrupted": "Canceled"}
"""A run's state in the words of Azure ML, where a refused student makes a failed job, too."""

MODELS: Mapping[str, Path] = {"student": Path("train/model")}


@dataclass(frozen=True)
class LocalJob:
    """A run. `folder` is where all of it lies."""

    name: str
    status: str
    folder: Path


class LocalJobs:
    """Runs below `path`, each in the folder of its job's name. With `dry_run` they are rehearsals."""

    def __init__(self, path: Path, *, dry_run: bool = False) -> None:
        self.path, self.dry_run = path, dry_run
        self._requests: dict[str, RunRequest] = {}
        self.submitted: dict[str, DistillationJob] = {}

    def create_or_update(self, job: "DistillationJob") -> LocalJob:
        """Run a job to its end; what has not changed since the last time is reused. Raises InputError for a job that
        can't run here."""
        name = f"{job.name}-dry-run" if self.dry_run else job.name
        asked = RunRequest(job, self.path / name, dry_run=self.dry_run)
        request = replace(with_replacements(asked), dry_run=False)
        self._requests[name], self.submitted[name] = request, job
        run(request, _Watch())
        return self.get(name)

    def get(self, name: str) -> LocalJob:
        """Raises InputError for a name that no run has."""
        return _job(self._run(name))

    def stream(self, name: str) -> None:
        """Print what the nodes of a run said."""
        for node in self._run(name).records:
            print(f"--- {node}")
            print((self.path / name / node / LOG).read_text(encoding="utf-8", errors="replace").rstrip())

    def cancel(self, name: str) -> LocalJob:
        """As `create_or_update` returns at the end of a job, there is nothing left to cancel."""
        return self.get(name)

    def list(self) -> Iterator[LocalJob]:
        """The latest first."""
        return map(_job, runs_in(self.path))

    def report(self, name: str) -> dict[str, Any]:
        """report.json of a job. Raises InputError for one that did not come so far."""
        path = self._run(name).path / "report/report/report.json"
        if not path.is_file():
            raise InputError(
                f"job {name!r}: {self.get(name).status}, and has no report; see client.jobs.stream({name!r})"
            )
        found: dict[str, Any] = read_json(path)
        return found

    def job_name(self, display_name: str) -> str:
        """The name of the run of a job."""
        return f"{display_name}-dry-run" if self.dry_run else display_name

    def evaluate_on(self, name: str, model: str, rows: Path) -> Mapping[str, float | None]:
        """Student or baseline of a job on other rows. Raises InputError for a job that this client has not run."""
        from azdistill.local_runs.fresh import measured

        request = self._requests.get(name)
        if request is None or isinstance(request.source, Path):
            raise InputError(f"job {name!r}: run it with this client first: client.jobs.create_or_update(job)")
        job, inputs = request.source, request.options.inputs
        trained = model == "student"
        folder = self.path / name / "train/model" if trained else Path(inputs.get("student", job.student.model))
        weights = "pretrained" if trained else inputs.get("weights", job.student.weights)
        longest = int(inputs.get("max_new_tokens", job.predict.max_new_tokens))
        config = job.predict.model_copy(update={"weights": weights, "seed": job.seed, "max_new_tokens": longest})
        file = Path(job.task_file) if job.task_file else None
        return measured(folder, rows, OWN if file else job.task, file, config)

    def _run(self, name: str) -> RunFolder:
        if found := read_run(self.path / name):
            return found
        there = ", ".join(run.path.name for run in runs_in(self.path)) or "none"
        raise InputError(f"job {name!r}: there is no such run in {str(self.path)!r}; there are: {there}")


def _job(run: RunFolder) -> LocalJob:
    return LocalJob(run.path.name, STATES.get(run.state, "Failed"), run.path)


class _Watch:
    """A line for each node when it begins and ends."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        for name, node in event.nodes.items():
            if node.state != self._told.get(name, "waiting"):
                print(f"{name}: {node.state}")
            self._told[name] = node.state
