"""DistillationClient: jobs and models of an Azure ML workspace, or of this machine, behind the same interface."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from azdistill.api.progress import show_progress
from azdistill.contracts.errors import InputError
from azdistill.contracts.results import ModelMetrics
from azdistill.metrics.registry import METRICS

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob
    from azdistill.local_runs.evaluate import EvaluationSettings
    from azdistill.local_runs.models import Model

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

    def model_address(self, name: str, role: str) -> str:
        """Folder or registered name of the `student` or `baseline` of a submitted job."""
        ...

    def inputs(self, name: str) -> Mapping[str, str]:
        """Inputs of the pipeline that replace those of a submitted job, such as those of a dry run."""
        ...

    def connect(self) -> "MLClient":
        """The client of the workspace that has the registered models. Raises InputError without a workspace."""
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
        self,
        model_name: str,
        test_data: Path | str | None = None,
        metrics: Iterable[str] | None = None,
        *,
        task: str | None = None,
        labels: str | None = None,
        key_variable: str | None = None,
        max_new_tokens: int | None = None,
    ) -> EvaluationResult:
        """Metrics of a model: exactly those in `metrics`, by the requested names; by default all, accuracy included.

        `model_name` is `JOB-distilled` (the student of a job) or `JOB-baseline` (the student before training), where
        JOB is the display name of the job; in the short form of a job that is the name of its student. The registered
        name of a student that this client submitted works too. Without `test_data` this waits for the job and reads
        its report.

        With `test_data` the model answers the rows of that file on this machine. Then `model_name` may also be a
        registered model (`NAME`, `NAME:3`, `azureml://...`), a model folder, or an endpoint (`https://...` or
        `DEPLOYMENT@https://...`, with its key in the environment variable `key_variable`). `task`, `labels` (of task
        nli, separated by commas) and `max_new_tokens` are those of the job, or else conversation and 256.

        Raises InputError for an unknown model or metric, DataError for rows without reference answers, EndpointError
        for an endpoint that refuses.
        """
        from dataclasses import replace

        from azdistill.local_runs.evaluate import EvaluationSettings, evaluate_models, read_task, requested_metrics

        names = tuple(DEFAULT_METRICS if metrics is None else metrics)
        requested = requested_metrics(EvaluationSettings(metrics=names))
        if test_data is None:
            measured = ModelMetrics.model_validate(self._reported(model_name))
            return EvaluationResult({name: measured.value(metric) for name, metric in requested.items()})
        model, settings = self._find(model_name, key_variable)
        if task is not None:
            of_task = read_task(task, labels)
            settings = replace(settings, task=of_task.task, labels=of_task.labels, task_file=of_task.task_file)
        if max_new_tokens is not None:
            changed = settings.predict.model_copy(update={"max_new_tokens": max_new_tokens})
            settings = replace(settings, predict=changed)
        with show_progress():
            (evaluated,) = evaluate_models([model], Path(test_data), replace(settings, metrics=names)).models
        return EvaluationResult({name: evaluated.metrics.value(metric) for name, metric in requested.items()})

    def _reported(self, model_name: str) -> Mapping[str, Any]:
        """Metrics of a model in the report of its job."""
        name, role = self._find_submitted(model_name) or self._find_by_suffix(model_name)
        metrics: Mapping[str, Any] = self._jobs.report(name)["models"][role]
        return metrics

    def _find(self, model_name: str, key_variable: str | None) -> "tuple[Model, EvaluationSettings]":
        """A model, and the settings with which its job evaluates it."""
        from azdistill.job.chat_template import chat_template_file
        from azdistill.local_runs.evaluate import EvaluationSettings, job_settings
        from azdistill.local_runs.models import FolderModel, find_model

        submitted = self._find_submitted(model_name)
        if submitted is None:
            return find_model(model_name, self._jobs.connect, key_variable), EvaluationSettings()
        name, role = submitted
        job, is_student = self._jobs.submitted[name], role == "student"
        settings = job_settings(job, self._jobs.inputs(name), is_student=is_student)
        address, template = self._jobs.model_address(name, role), job.student.chat_template
        if is_student or template is None:
            return find_model(address, self._jobs.connect), settings
        return FolderModel(model_name, Path(address), Path(chat_template_file(template))), settings

    def _find_submitted(self, model_name: str) -> tuple[str, str] | None:
        """Name of the job that this client submitted, and `student` or `baseline`."""
        for name, job in self._jobs.submitted.items():
            if model_name in (job.registered_model, f"{job.name}{DISTILLED}"):
                return name, "student"
            if model_name == f"{job.name}{BASELINE}":
                return name, "baseline"
        return None

    def _find_by_suffix(self, model_name: str) -> tuple[str, str]:
        """Name of the latest job with the display name in `model_name`, and `student` or `baseline`."""
        for suffix, model in ((DISTILLED, "student"), (BASELINE, "baseline")):
            if model_name.endswith(suffix):
                return self._jobs.job_name(model_name.removesuffix(suffix)), model
        raise InputError(
            "unknown model",
            field=("model_name",),
            value=model_name,
            code="unknown_model",
            fix=f"use JOB{DISTILLED}, JOB{BASELINE} or the registered name of a job that this client submitted, or set "
            "test_data",
        )


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

        return cls(LocalJobs(Path(path), dry_run=dry_run, progress=show_progress))
