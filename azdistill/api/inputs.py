"""Arguments of the notebook functions: settings as dicts, paths as text, a task as a name or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import problems_of
from azdistill.contracts.task import OWN
from azdistill.job.task import is_file

Model = TypeVar("Model", bound=BaseModel)

# A JSONL file, or a list of its rows: chat messages, or the fields of the task.
Rows = Path | str | Sequence[Mapping[str, Any]]


def validated(model: type[Model], values: Mapping[str, Any], argument: str = "") -> Model:
    """Build `model` from the dict `argument`, or from arguments that have the names of its fields.

    Raises InputError with all problems.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        prefix = (argument,) if argument else ()
        problems = [replace(problem, field=(*prefix, *problem.field)) for problem in problems_of(error)]
        raise InputError(problems=problems) from None


def task_field_and_file(task: str) -> tuple[dict[str, Any], Path | None]:
    """The `task` field of a step's config, and the Python file of a custom task."""
    return ({"task": OWN}, Path(task)) if is_file(task) else ({"task": task}, None)
