"""Evaluate models on rows outside of a job."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.evaluation import EvaluatedModel, ModelEvaluation
from azdistill.contracts.files import write_rows
from azdistill.contracts.layout import METRICS_FILE, PROMPTS_FILE, RUN_EVALUATION
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.problems import Problem, suggest
from azdistill.contracts.results import write_result
from azdistill.contracts.rows import Prompt
from azdistill.contracts.task import OWN, TaskChoice, TaskName
from azdistill.local_runs.evaluation_rows import read_evaluation_rows
from azdistill.local_runs.models import Answers, Model
from azdistill.metrics.registry import METRICS, METRICS_BY_NAME
from azdistill.tasks.source import metric_problems

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# Suffix of a requested metric that is a Python file.
METRIC_FILE_SUFFIX = ".py"


@dataclass(frozen=True)
class EvaluationSettings:
    """Task of the rows, metrics, and generation. `task_file` and `metric_file` are Python files of the user.

    `metrics` are names; a Python file is the metric own. None: those that suit the task.
    """

    task: TaskChoice = "conversation"
    labels: str | None = None
    task_file: Path | None = None
    metric_file: Path | None = None
    metrics: Sequence[str] | None = None
    rows: int = 0
    predict: PredictConfig = field(default_factory=PredictConfig)


def evaluate_models(
    models: Sequence[Model],
    data: Path,
    settings: EvaluationSettings,
    gold: Path | None = None,
    output: Path | None = None,
) -> ModelEvaluation:
    """Metrics of models on the rows of a file or run; the first one is the reference of the others.

    Answers, profiles and metrics.json are written to the folder `output`, if it is set. Raises InputError for unknown
    metrics and a metric file that fails, DataError for rows or a model that cannot be used, and EndpointError for an
    endpoint that refuses.
    """
    from azdistill.evaluation import models as library

    requested = requested_metrics(settings)
    metric_file = next((Path(name) for name in requested if name.endswith(METRIC_FILE_SUFFIX)), settings.metric_file)
    shared = {"task": settings.task, "labels": settings.labels}
    config = EvaluateConfig.model_validate(shared)
    _check_names(models)
    _check_metric_file(metric_file)
    prepare = PrepareConfig.model_validate({**shared, "rows": settings.rows})
    rows = read_evaluation_rows(data, gold, prepare, settings.task_file)
    with _folder(output) as folder:
        answers = {
            model.name: _answer(model, rows.prompts, settings.predict, folder / str(number))
            for number, model in enumerate(models, 1)
        }
        evaluated = library.evaluate_models(
            rows.prompts,
            {name: answer.predictions for name, answer in answers.items()},
            {name: answer.profile for name, answer in answers.items()},
            config,
            tuple(dict.fromkeys(requested.values())),
            settings.task_file,
            metric_file,
        )
        evaluation = ModelEvaluation(
            task=str(settings.task_file or settings.task),
            data=str(data),
            rows=len(rows.prompts),
            rejected=rows.rejected,
            duplicates=rows.duplicates,
            without_reference=rows.without_reference,
            confidence=config.confidence,
            metrics=requested if settings.metrics is not None else _measured(requested, evaluated),
            models=tuple(
                model.model_copy(update={"unanswered": answers[model.name].unanswered}) for model in evaluated
            ),
        )
        write_rows(folder / PROMPTS_FILE, rows.prompts)
        write_result(folder / METRICS_FILE, evaluation)
    return evaluation


def read_task(task: str, labels: str | None = None) -> EvaluationSettings:
    """Settings of a task by its name or Python file. Raises InputError for an unknown name or wrong labels."""
    from pydantic import ValidationError

    from azdistill.contracts.problems import problems_of

    if task.endswith(METRIC_FILE_SUFFIX):
        return EvaluationSettings(task=OWN, task_file=Path(task))
    names = get_args(TaskName)
    if task not in names:
        message = f"must be {', '.join(names)} or a Python file such as ./my_task.py"
        raise InputError(message, field=("task",), value=task, code="invalid_choice", fix=suggest(task, names))
    try:
        config = PrepareConfig.model_validate({"task": task, "labels": labels})
    except ValidationError as error:
        raise InputError(problems=problems_of(error)) from None
    return EvaluationSettings(task=config.task, labels=config.labels)


def run_settings(folder: Path) -> EvaluationSettings | None:
    """Task and labels of a run folder. None for another folder, and for a task of the user, whose file is not there."""
    try:
        provenance = read_manifest(folder / RUN_EVALUATION).provenance
    except DataError:
        return None
    config = provenance.config if provenance else {}
    task = config.get("task")
    return None if task in (None, OWN) else read_task(task, config.get("labels"))


def job_settings(job: "DistillationJob", inputs: Mapping[str, str], *, is_student: bool) -> EvaluationSettings:
    """The settings with which a job evaluates its student or its baseline. `inputs` replace inputs of its pipeline."""
    changes = {
        "seed": job.seed,
        "weights": "pretrained" if is_student else inputs.get("weights", job.student.weights),
        "max_new_tokens": int(inputs.get("max_new_tokens", job.predict.max_new_tokens)),
    }
    return EvaluationSettings(
        task=EvaluateConfig.model_validate({"task": OWN if job.task_file else job.task}).task,
        labels=",".join(job.labels) if job.labels else None,
        task_file=Path(job.task_file) if job.task_file else None,
        metric_file=Path(job.metrics) if job.metrics else None,
        predict=job.predict.model_copy(update=changes),
    )


def requested_metrics(settings: EvaluationSettings) -> dict[str, str]:
    """Name of each metric by the name that was requested. Raises InputError with all unknown names."""
    if settings.metrics is None:
        has_own = settings.metric_file is not None
        names = [metric.name for metric in METRICS if metric.suits(settings.task) and metric.in_report]
        return {name: name for name in [*names, *(["own"] if has_own else [])]}
    known = [name for name in settings.metrics if name in METRICS_BY_NAME or name.endswith(METRIC_FILE_SUFFIX)]
    if unknown := [name for name in settings.metrics if name not in known]:
        raise InputError(problems=[_unknown_metric(name) for name in unknown])
    return {name: METRICS_BY_NAME[name].name if name in METRICS_BY_NAME else "own" for name in known}


def _unknown_metric(name: str) -> Problem:
    return Problem(
        code="unknown_metric",
        field=("metrics",),
        value=name,
        message="unknown metric",
        fix=suggest(name, METRICS_BY_NAME),
    )


def _measured(requested: Mapping[str, str], models: Sequence[EvaluatedModel]) -> dict[str, str]:
    """The metrics that some model has a value of."""
    return {
        name: metric
        for name, metric in requested.items()
        if any(model.metrics.value(metric) is not None for model in models)
    }


def _check_names(models: Sequence[Model]) -> None:
    names = [model.name for model in models]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise InputError(
            "is named twice", field=("model",), value=repeated, code="duplicate_name", fix="name each model once"
        )


def _check_metric_file(path: Path | None) -> None:
    """Raise InputError for a file that defines no metric, before a model answers."""
    if path is not None and (problems := metric_problems(path)):
        raise InputError(problems=problems)


def _answer(model: Model, prompts: Sequence[Prompt], config: PredictConfig, folder: Path) -> Answers:
    folder.mkdir(parents=True, exist_ok=True)
    return model.answer(prompts, config, folder)


@contextmanager
def _folder(output: Path | None) -> Iterator[Path]:
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
        yield output
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
