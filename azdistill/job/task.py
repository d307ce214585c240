"""The task of a job: a name of ours, or a Python file of the user's own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import PlainValidator, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import Problem
from azdistill.contracts.task import TaskName
from azdistill.job.paths import is_remote, resolve
from azdistill.tasks.source import task_problems

NAMES: tuple[str, ...] = get_args(TaskName)
PURPOSE = f"what the rows are ({', '.join(NAMES)}, or a Python file such as ./my_task.py)"


def is_file(task: object) -> bool:
    """Whether a task is named by a file; whether that is there and right is another question."""
    return isinstance(task, str) and task.endswith(".py")


def _task(value: Any, info: ValidationInfo) -> str:
    if is_file(value):
        return resolve(value, info)
    if value in NAMES:
        return str(value)
    expected = f"{', '.join(map(repr, NAMES))} or a Python file such as ./my_task.py"
    raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})


SpecTask = Annotated[
    str,
    PlainValidator(_task),
    WithJsonSchema({"anyOf": [{"enum": list(NAMES)}, {"type": "string", "pattern": r"\.py$"}]}),
]
"""A name of the task types, or the path of a task file, relative to the spec."""


def wrong_task(task: object, base: Path = Path()) -> Iterator[Problem]:
    """What keeps the file that a job names from being a task, by its lines. None for a name, or a file that isn't
    there or not here."""
    if isinstance(task, str) and is_file(task) and not is_remote(task) and (path := Path(base, task)).exists():
        yield from task_problems(path)
