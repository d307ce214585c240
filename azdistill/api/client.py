"""DistillationClient: the jobs and models of a workspace of Azure ML, or of this machine, with one surface."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from azdistill.contracts.errors import InputError

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

DISTILLED, BASELINE = "-distilled", "-baseline"
FIGURES = {
    "accuracy": "accuracy",
    "agreement": "agreement",
    "bleu": "bleu",
    "latency": "latency_p50_s",
    "throughput": "tokens_per_s",
    "memory": "peak_memory_bytes",
    "parameters": "parameters",
}
"""What `evaluate` gives, and its name in report.json: seconds, tokens a second, bytes."""


class Job(Protocol):
    """A job with a name, and its status in the words of Azure ML: NotStarted, Running, Completed, Failed, Canceled."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> str: ...


class Jobs(Protocol):
    """The jobs of one place. `sent` are those that this client has sent, by name."""

    @property
    def sent(self) -> Mapping[str, "DistillationJob"]: ...

    def create_or_update(self, job: "DistillationJob") -> Job: ...

    def get(self, name: str) -> Job: ...

    def stream(self, name: str) -> None: ...

    def cancel(self, name: str) -> Job: ...

    def list(self) -> Iterator[Job]: ...

    def report(self, name: str) -> dict[str, Any]: ...

    def named(self, job: str) -> str: ...

    def measured(self, name: str, who: str, rows: Path) -> Mapping[str, float | None]: ...


class Evaluation(dict[str, float | None]):
    """Figures of one model by name, also as attributes. None: not known."""

    def __getattr__(self, name: str) -> float | None:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no figure {name!r}; there are {', '.join(self)}") from None


class Models:
    """The models of a place's jobs."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def evaluate(
        self, model_name: str, test_data: Path | str | None = None, metrics: Iterable[str] = FIGURES
    ) -> Evaluation:
        """The figures of `JOB-distilled`, the student, or of `JOB-baseline`, the untouched model, on the same rows.

        JOB is the job's name; the short form names it after its student. Waits for the job, and reads its report.
        `test_data` has the model answer other rows, which takes a job of this machine. Raises InputError for a
        model or a metric that there is not, DataError for rows without reference answers.
        """
        name, who = self._job_of(model_name)
        wanted = list(metrics)
        if strange := [metric for metric in wanted if metric not in FIGURES]:
            raise InputError(f"metric {strange[0]!r}: there is none; there are {', '.join(FIGURES)}")
        found = (
            self._jobs.measured(name, who, Path(test_data)) if test_data else _reported(self._jobs.report(name), who)
        )
        return Evaluation({metric: found.get(FIGURES[metric]) for metric in wanted})

    def _job_of(self, model: str) -> tuple[str, str]:
        for name, job in self._jobs.sent.items():
            if model in (job.registered_model, f"{job.name}{BASELINE}"):
                return name, "student" if model == job.registered_model else "baseline"
        for ending, who in ((DISTILLED, "student"), (BASELINE, "baseline")):
            if model.endswith(ending):
                return self._jobs.named(model.removesuffix(ending)), who
        raise InputError(
            f"model {model!r}: expected JOB{DISTILLED} or JOB{BASELINE}, or the registered name of a job sent here"
        )


def _reported(report: Mapping[str, Any], who: str) -> dict[str, float | None]:
    figures = report["models"][who]
    return {name: value["value"] if isinstance(value, dict) else value for name, value in figures.items()}


class DistillationClient:
    """Where distillations run: `from_config()` is a workspace, `local(path)` this machine."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs, self.models = jobs, Models(jobs)

    @classmethod
    def from_config(cls, path: Path | str | None = None, credential: Any = None) -> "DistillationClient":
        """The workspace of a config.json: the file given, or the one here or in a folder above. Raises InputError."""
        from azdistill.azure.workspace import connect, find_address
        from azdistill.azure.workspace_jobs import WorkspaceJobs

        return cls(WorkspaceJobs(connect(find_address(Path(path) if path else None), credential)))

    @classmethod
    def local(cls, path: Path | str, dry_run: bool = False) -> "DistillationClient":
        """This machine: `path` is the folder for the runs. A dry run has a simulated teacher, a tiny student and the
        first rows, and proves that the parts fit together."""
        from azdistill.local_runs.jobs import LocalJobs

        return cls(LocalJobs(Path(path), dry_run=dry_run))
