"""DistillationClient: jobs and models of an Azure ML workspace, or of this machine, behind the same interface."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import suggest
from azdistill.metrics.registry import CLIENT_METRICS, METRICS

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

DISTILLED, BASELINE = "-distilled", "-baseline"
DEFAULT_METRICS = tuple(metric.client_names[0] for metric in METRICS if metric.client_names)


class SubmittedJob(Protocol):
    """A job with its name and its Azure ML status: NotStarted, Running, Completed, Failed or Canceled."""

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> str: ...


class JobOperations(Protocol):
    """The jobs of a workspace or of a folder of runs. `submitted` holds the jobs submitted by this client, by name."""

    @property
    def submitted(self) -> Mapping[str, "DistillationJob"]: ...

    def create_or_update(self, job: "DistillationJob") -> SubmittedJob: ...

    def get(self, name: str) -> SubmittedJob: ...

    def stream(self, name: str) -> None: ...

    def cancel(self, name: str) -> SubmittedJob: ...

    def list(self) -> Iterator[SubmittedJob]: ...

    def report(self, name: str) -> dict[str, Any]:
        """The content of a job's report.json. Waits for the job."""
        ...

    def job_name(self, display_name: str) -> str:
        """The name of the latest job with this display name."""
        ...

    def evaluate_on(self, name: str, model: str, rows: Path) -> Mapping[str, float | None]:
        """Metrics of a job's `student` or `baseline` on the rows of a file, under their names in report.json."""
        ...


class EvaluationResult(dict[str, float | None]):
    """Metrics of one model by name, also as attributes. None: not measured."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"no metric {name!r}; this result has {', '.join(self)}") from None


class ModelOperations:
    """The models that jobs train or compare with."""

    def __init__(self, jobs: JobOperations) -> None:
        self._jobs = jobs

    def evaluate(
        self, model_name: str, test_data: Path | str | None = None, metrics: Iterable[str] = DEFAULT_METRICS
    ) -> EvaluationResult:
        """Metrics of `JOB-distilled` (the student) or `JOB-baseline` (the student before training).

        JOB is the display name of a job; in the short form of a job that is the name of its student. The registered
        name of a student that this client submitted works too. Without `test_data` this waits for the job and reads
        its report. With `test_data` the model answers the rows of that file, which only jobs of this machine can do.
        Raises InputError for an unknown model or metric, DataError for rows without reference answers.
        """
        name, model = self._find_model(model_name)
        names = list(metrics)
        for metric in names:
            if metric not in CLIENT_METRICS:
                fix = suggest(metric, CLIENT_METRICS)
                raise InputError("unknown metric", field=("metrics",), value=metric, code="unknown_metric", fix=fix)
        if test_data:
            values = self._jobs.evaluate_on(name, model, Path(test_data))
        else:
            values = _point_estimates(self._jobs.report(name)["models"][model])
        return EvaluationResult({metric: values.get(CLIENT_METRICS[metric]) for metric in names})

    def _find_model(self, model_name: str) -> tuple[str, str]:
        """Job name, and `student` or `baseline`."""
        for name, job in self._jobs.submitted.items():
            if model_name == job.registered_model:
                return name, "student"
            if model_name == f"{job.name}{BASELINE}":
                return name, "baseline"
        for suffix, model in ((DISTILLED, "student"), (BASELINE, "baseline")):
            if model_name.endswith(suffix):
                return self._jobs.job_name(model_name.removesuffix(suffix)), model
        raise InputError(
            "unknown model",
            field=("model_name",),
            value=model_name,
            code="unknown_model",
            fix=f"use JOB{DISTILLED}, JOB{BASELINE} or the registered name of a job that this client submitted",
        )


def _point_estimates(model: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: value["value"] if isinstance(value, dict) else value for name, value in model.items()}


class DistillationClient:
    """Runs distillation jobs in a workspace (`from_config()`) or on this machine (`local(path)`)."""

    def __init__(self, jobs: JobOperations) -> None:
        self.jobs, self.models = jobs, ModelOperations(jobs)

    @classmethod
    def from_config(cls, path: Path | str | None = None, credential: Any = None) -> "DistillationClient":
        """A client of the workspace named in config.json: the file `path`, or the nearest one in this folder and the
        folders above it. Raises InputError when no folder has one."""
        from azdistill.azure.workspace import connect, find_address
        from azdistill.azure.workspace_jobs import WorkspaceJobs

        return cls(WorkspaceJobs(connect(find_address(Path(path) if path else None), credential)))

    @classmethod
    def local(cls, path: Path | str, dry_run: bool = False) -> "DistillationClient":
        """A client that runs jobs on this machine, in folders below `path`.

        `dry_run` uses a simulated teacher, a tiny student and the first rows of the data: it checks that the steps
        fit together and costs nothing.
        """
        from azdistill.local_runs.jobs import LocalJobs

        return cls(LocalJobs(Path(path), dry_run=dry_run))
