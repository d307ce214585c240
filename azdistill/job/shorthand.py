"""The short form of a job that tutorials use, and its expansion into sections."""

import re
from collections.abc import Iterator
from typing import Any

from azdistill.contracts.problems import FieldPath, Problem, dotted
from azdistill.job.catalog import Catalog

# Keys of the short form, and the fields that they set.
HYPERPARAMETERS: dict[str, FieldPath] = {
    "learning_rate": ("train", "learning_rate"),
    "batch_size": ("train", "batch_size"),
    "num_epochs": ("train", "num_epochs"),
    "temperature": ("teacher", "temperature"),
    "max_tokens": ("teacher", "max_tokens"),
}
FLAT: dict[str, FieldPath] = {
    "task_type": ("task",),
    "training_data": ("data", "training_data"),
    "validation_data": ("data", "validation_data"),
    "test_data": ("data", "test_data"),
    "student_model": ("student", "model"),
    "teacher_model": ("teacher", "teachers"),
}
SHORT = (*FLAT, "hyperparameters")

# Fields that several steps share: declared once in the job, and merged into the config of every step that has them.
INHERITED = {
    "task": "task",
    "labels": "labels",
    "seed": "seed",
    "weights": "student.weights",
    "white_box_weights": "white_box",
    "columns": "data.columns",
    "slice_columns": "data.slice_columns",
    "serving_hour_price": "prices.serving_hour",
}

# Connection names have 3 to 33 characters.
MIN_CONNECTION_NAME, MAX_CONNECTION_NAME = 3, 33
MAX_JOB_NAME = 101

Values = dict[str, Any]


def expand(values: Values, catalog: Catalog) -> tuple[Values, list[Problem]]:
    """The values with sections in place of the short form, and the problems of the short form.

    A teacher that is given by name only gets the workspace connection of the same name. The gates are reported and
    not enforced: the few rows of a tutorial cannot prove a student.
    """
    # The sections are copied, because fields of the short form are set in them.
    full = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items() if key not in SHORT}
    if len(full) == len(values):
        return full, []
    problems = [
        _duplicate(field, target)
        for field, target, value in _moves(values, catalog)
        if not _set_if_absent(full, target, value)
    ]
    if isinstance(student := values.get("student_model"), str) and (name := _slug(student)):
        full.setdefault("name", name)
    full.setdefault("evaluate", {"enforce_gates": False})
    hyperparameters = values.get("hyperparameters")
    if hyperparameters is not None and not isinstance(hyperparameters, dict):
        message = "must be a mapping, one `name: value` a line"
        problems.append(Problem(code="wrong_type", message=message, field=("hyperparameters",), value=hyperparameters))
    return full, problems


def _duplicate(field: FieldPath, target: FieldPath) -> Problem:
    message = f"{dotted(target)} sets the same field"
    return Problem(code="duplicate_field", message=message, fix="keep one of them", field=field)


def _moves(values: Values, catalog: Catalog) -> Iterator[tuple[FieldPath, FieldPath, Any]]:
    """Each field of the short form: its path, the path that it sets, and its value."""
    for key, target in FLAT.items():
        if key in values:
            value = _teachers(values[key], catalog) if key == "teacher_model" else values[key]
            yield (key,), target, value
    hyperparameters = values.get("hyperparameters")
    for key, value in hyperparameters.items() if isinstance(hyperparameters, dict) else ():
        yield ("hyperparameters", key), HYPERPARAMETERS.get(key, ("train", key)), value


def _teachers(model: Any, catalog: Catalog) -> Any:
    if not isinstance(model, str):
        return [{"model": model, "connection": "teacher"}]
    facts = catalog.teacher(model)
    return [{"model": (facts and facts.name) or model, "connection": _connection(model)}]


def _connection(model: str) -> str:
    name = _slug(model)[:MAX_CONNECTION_NAME]
    return name if len(name) >= MIN_CONNECTION_NAME else f"{name}teacher"


def _slug(model: str) -> str:
    """The part of a path or address that names the model, as a valid job name."""
    last = model.partition("/versions/")[0].rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_-]", "-", last).lstrip("-_")[:MAX_JOB_NAME]


def _set_if_absent(full: Values, path: FieldPath, value: Any) -> bool:
    """Set a field unless it is set already. Returns True if it was absent.

    A section that is not a mapping is not changed: the validation of the job reports it.
    """
    *parents, name = path
    section = full
    for parent in parents:
        section = section.setdefault(str(parent), {})
        if not isinstance(section, dict):
            return True
    is_absent = str(name) not in section
    section.setdefault(str(name), value)
    return is_absent


def as_written(field: FieldPath, values: Values) -> FieldPath:
    """The path of a field as the user wrote it, or would write it: in the short form where `values` has that."""
    options = (*_short_forms(field), field) if any(key in values for key in SHORT) else (field,)
    return max(options, key=lambda option: _depth(values, option))


def _short_forms(field: FieldPath) -> Iterator[FieldPath]:
    for key, path in FLAT.items():
        if field[: len(path)] == path or path[: len(field)] == field:
            yield (key,)
    for key, path in HYPERPARAMETERS.items():
        if field == path:
            yield ("hyperparameters", key)
    if field[:1] == ("train",) and len(field) > 1:
        yield ("hyperparameters", *field[1:])


def has_field(values: Values, field: FieldPath) -> bool:
    return _depth(values, field) == len(field)


def _depth(node: Any, path: FieldPath) -> int:
    """Count the keys of `path` that exist."""
    for count, key in enumerate(path):
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return count
    return len(path)
