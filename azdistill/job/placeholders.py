"""Endpoints of a job that are still the placeholder of a template."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import TYPE_CHECKING

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import FieldPath, Problem

if TYPE_CHECKING:
    from azdistill.contracts.requests import Teacher
    from azdistill.job.model import DistillationJob

# `YOUR-RESOURCE` of the job that `azdistill init` writes, `<resource>` of Azure's documentation. No host has them.
_PLACEHOLDER = re.compile(r"YOUR[-_][A-Z]+|<[\w-]+>")


def placeholder_problems(job: "DistillationJob") -> Iterator[Problem]:
    """An error for each endpoint that is a placeholder and would be asked."""
    for field, teacher, _ in asked(job, {}):
        if problem := _problem(field, teacher):
            yield problem


def check_placeholders(job: "DistillationJob", inputs: Mapping[str, object], nodes: Set[str]) -> None:
    """Raise SpecError for an endpoint that is a placeholder and that one of the nodes asks."""
    problems = [_problem(field, teacher) for field, teacher, callers in asked(job, inputs) if callers & nodes]
    if listed := [problem for problem in problems if problem]:
        raise SpecError(problems=listed)


def _problem(field: FieldPath, teacher: "Teacher") -> Problem | None:
    match = _PLACEHOLDER.search(teacher.endpoint or "")
    return match and Problem(
        code="placeholder",
        message=f"{match[0]} is a placeholder",
        fix="write the address of your endpoint; a dry run needs none",
        field=(*field, "endpoint"),
        value=teacher.endpoint,
    )


def asked(job: "DistillationJob", inputs: Mapping[str, object]) -> Iterator[tuple[FieldPath, "Teacher", Set[str]]]:
    """Field of each model behind an endpoint, its settings, and the nodes that ask it. Without simulated ones."""
    judge, scorer = job.judge, job.scorer
    if inputs.get("teacher_route", job.teacher.teacher_route) == "endpoint":
        for index, teacher in enumerate(job.teacher.teachers):
            yield ("teacher", "teachers", index), teacher, {"augment", "teacher"}
    if judge and inputs.get("judge_route", judge.judge_route) == "endpoint":
        yield ("judge", "judge_model"), judge.judge_model, {"judge_answers", "judge"}
    if scorer and scorer.teacher and inputs.get("scorer_route", scorer.scorer_route) == "endpoint":
        yield ("scorer", "teacher"), scorer.teacher, {"train"}
