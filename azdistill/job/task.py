"""The task of a job (a built-in one by name, or a Python file of the user), and the Python file of its own metric."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import Problem
from azdistill.contracts.task import TaskName
from azdistill.job.paths import is_remote, resolve
from azdistill.tasks.source import metric_problems, task_problems

NAMES: tuple[str, ...] = get_args(TaskName)
PURPOSE = f"Task of the rows: {', '.join(NAMES)}, or a Python file such as ./my_task.py."


def is_file(task: object) -> bool:
    """True if a task is given as a Python file. The file may not exist."""
    return isinstance(task, str) and task.endswith(".py")


def _task(value: Any, info: ValidationInfo) -> str:
    if is_file(value):
        return resolve(value, info)
    if value in NAMES:
        return str(value)
    expected = f"{', '.join(map(repr, NAMES))} or a Python file such as ./my_task.py"
    raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})


# A built-in task, or the path of a task file relative to the job file.
SpecTask = Annotated[
    str,
    PlainValidator(_task),
    WithJsonSchema({"anyOf": [{"enum": list(NAMES)}, {"type": "string", "pattern": r"\.py$"}]}),
]


def task_file_problems(task: object, base: Path = Path()) -> Iterator[Problem]:
    """Problems of the Python file of a custom task. Yields nothing for a built-in task, a remote file or a missing
    file."""
    if isinstance(task, str) and is_file(task) and not is_remote(task) and os.path.exists(path := Path(base, task)):
        yield from task_problems(path)


# The path of a metric file relative to the job file.
SpecMetricFile = Annotated[str, Field(pattern=r"\.py$"), AfterValidator(resolve)]


def metric_file_problems(metrics: object, base: Path = Path()) -> Iterator[Problem]:
    """Problems of the Python file of a metric. Yields nothing for a remote file or a missing file."""
    if (
        isinstance(metrics, str)
        and is_file(metrics)
        and not is_remote(metrics)
        and os.path.exists(path := Path(base, metrics))
    ):
        yield from metric_problems(path)
