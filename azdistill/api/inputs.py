"""What people hand to the two stages: dicts as in a job file, paths as text, a task by name or file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import explain
from azdistill.contracts.task import OWN
from azdistill.job.task import is_file

Model = TypeVar("Model", bound=BaseModel)

Rows = Path | str | Sequence[Mapping[str, Any]]
"""A JSONL file, or rows as it would hold them: chat messages or the natural fields of the task."""


def validated(model: type[Model], values: Mapping[str, Any], name: str) -> Model:
    """Raises InputError with all findings in one line that begins with `name`."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as problem:
        raise InputError(f"{name}: {explain(problem)}") from None


def named_task(task: str) -> tuple[dict[str, Any], Path | None]:
    """The field and the file by which steps know a task."""
    return ({"task": OWN}, Path(task)) if is_file(task) else ({"task": task}, None)


def as_data(data: Rows) -> Path | Sequence[Mapping[str, Any]]:
    return Path(data) if isinstance(data, str) else data
