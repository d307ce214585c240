"""Keys of the models that a run asks after the teacher, checked before the teacher is paid."""

import os
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import Problem
from azdistill.contracts.requests import Teacher
from azdistill.engine.local.records import read_record
from azdistill.engine.problems import FieldPath
from azdistill.job.placeholders import asked
from azdistill.local_runs.request import RunRequest

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob


def check_keys(job: "DistillationJob", request: RunRequest, nodes: Set[str]) -> None:
    """Raise SpecError if the key of a judge or scorer is missing on this machine.

    Not for a node that has completed in this run folder: its answers are stored, and need no key.
    """
    pending = {name for name in nodes if not _is_complete(request, name)}
    problems = [
        problem
        for field, teacher, callers in asked(job, request.options.inputs)
        if field[0] != "teacher" and callers & pending  # the teacher's step reports its own before it asks
        for problem in _key_problems(field, teacher)
    ]
    if problems:
        raise SpecError(problems=problems)


def _is_complete(request: RunRequest, node: str) -> bool:
    record = read_record(request.folder / node)
    return record is not None and record.state == "completed"


def _key_problems(field: FieldPath, teacher: Teacher) -> Iterator[Problem]:
    variable = teacher.key_variable
    if teacher.endpoint is None:
        yield Problem(
            code="no_endpoint",
            message="can be read only in a job of its Azure ML workspace",
            fix="on this machine set endpoint and key_variable, too",
            field=(*field, "connection"),
            value=teacher.connection,
        )
    elif variable and not os.environ.get(variable, "").strip():
        yield Problem(
            code="missing_variable",
            message=f"variable {variable} is not set in the environment",
            fix="paste the key of the endpoint, which is not shown",
            command=f"read -rs {variable} && export {variable}",
            field=(*field, "key_variable"),
        )
