"""Section `regressions` of a job: suites of rows on which the student must not be worse than the baseline."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from azdistill.contracts.problems import FieldPath, Problem
from azdistill.contracts.suites import SuiteGate
from azdistill.contracts.task import OWN
from azdistill.engine.pipeline.labels import unversioned_asset
from azdistill.job.partial_model import run_checks
from azdistill.job.paths import SpecPath
from azdistill.metrics.metric import Metric
from azdistill.metrics.own import METRIC as OWN_METRIC
from azdistill.metrics.registry import METRICS
from azdistill.metrics.suite import suite_metric_problems

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


class RegressionSuite(SuiteGate):
    """Rows outside the task, or rows that a model must refuse, and bounds of the student's gain on them."""

    data: SpecPath = Field(description="JSONL file of the suite's rows. They are sent to no teacher and never trained.")


def regression_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Problems of suites with a job's other sections, and of the fields of a suite together."""
    yield from run_checks([_duplicate_names], job.regressions)
    for index, suite in enumerate(job.regressions):
        for problem in run_checks([_versioned, _ordered_bounds, _labels], suite):
            yield _at(index, problem)
        for problem in run_checks([lambda suite: _own_task(suite, job), lambda suite: _metric(suite, job)], suite):
            yield _at(index, problem)


def _at(index: int, problem: Problem) -> Problem:
    return replace(problem, field=("regressions", index, *problem.field))


def _duplicate_names(suites: Any) -> Iterator[Problem]:
    names = [suite.name.casefold() for suite in suites]
    for index, name in enumerate(names):
        if name in names[:index]:
            field: FieldPath = ("regressions", index, "name")
            message, value = "another suite has this name", suites[index].name
            yield Problem(code="duplicate_name", message=message, fix="rename one", field=field, value=value)


def _versioned(suite: Any) -> Iterator[Problem]:
    if (name := unversioned_asset(suite.data)) is not None:
        message, fix = "Azure ML requires a version", f"write azureml:{name.rstrip(':@')}:VERSION"
        yield Problem(code="missing_version", message=message, fix=fix, field=("data",), value=suite.data)


def _ordered_bounds(suite: Any) -> Iterator[Problem]:
    if suite.min_gain is not None and suite.max_gain is not None and suite.min_gain > suite.max_gain:
        message = f"is above max_gain={suite.max_gain:g}, so no student can pass"
        yield Problem(
            code="incompatible_fields", message=message, fix="lower it", field=("min_gain",), value=suite.min_gain
        )


def _labels(suite: Any) -> Iterator[Problem]:
    """Labels are those of task nli, and no two of them are read as the same label."""
    if suite.labels and suite.task != "nli":
        message = f"are for task nli, and the task is {suite.task!r}"
        yield Problem(code="incompatible_fields", message=message, fix="remove labels", field=("labels",))
    elif suite.labels and len({label.casefold().replace("-", "_") for label in suite.labels}) < len(suite.labels):
        yield Problem(code="duplicate_name", message="two labels are the same", field=("labels",))


def _own_task(suite: Any, job: "DistillationJob") -> Iterator[Problem]:
    if suite.task == OWN and not job.task_file:
        message, fix = "the job's task is no Python file", "name a built-in task"
        yield Problem(code="missing_file", message=message, fix=fix, field=("task",), value=OWN)


def _metric(suite: Any, job: "DistillationJob") -> Iterator[Problem]:
    if suite.metric == OWN_METRIC.name and not job.metrics:
        fix = "set metrics to the Python file of the metric"
        message = "the job has no metric of its own"
        yield Problem(code="missing_file", message=message, fix=fix, field=("metric",), value=suite.metric)
    elif suite.metric is not None:
        yield from suite_metric_problems(suite.metric, suite.task, _declared(job))


def _declared(job: "DistillationJob") -> list[Metric]:
    """The metrics, with the one of the user's file only if the job has it."""
    others = [metric for metric in METRICS if metric.name != OWN_METRIC.name]
    return [*others, replace(OWN_METRIC, tasks=None)] if job.metrics else others
