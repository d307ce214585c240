"""The short form of the tutorials, expanded into sections."""

import re
from collections.abc import Iterator
from typing import Any

from azdistill.contracts.findings import Place, named
from azdistill.job.catalog import Catalog

HYPERPARAMETERS = {
    "learning_rate": ("train", "learning_rate"),
    "batch_size": ("train", "batch_size"),
    "num_epochs": ("train", "num_epochs"),
    "temperature": ("teacher", "temperature"),
    "max_tokens": ("teacher", "max_tokens"),
}
FLAT = {
    "task_type": ("task",),
    "training_data": ("data", "training_data"),
    "validation_data": ("data", "validation_data"),
    "test_data": ("data", "test_data"),
    "student_model": ("student", "model"),
    "teacher_model": ("teacher", "teachers"),
}
"""Key of the short form -> where it stands in full."""

SHORT = (*FLAT, "hyperparameters")

INHERITED = {"task": "task", "seed": "seed", "weights": "student.weights"}
"""Fields that several steps share: declared once in the job, handed to every section that has them."""

Values = dict[str, Any]


def expand(values: Values, known: Catalog) -> tuple[Values, list[tuple[Place, str]]]:
    """The values in full, and what is wrong with their form. What is not of the short form stays as it is.

    A teacher that is named alone gets the connection of the same name and its gates are
    reported, not enforced: a tutorial's few rows can't prove a student.
    """
    full: Values = {key: value for key, value in values.items() if key not in SHORT}
    if len(full) == len(values):
        return full, []
    twice = [place for place, path, value in _moves(values, known) if not _put(full, path, value)]
    if isinstance(student := values.get("student_model"), str) and (name := _slug(student)):
        full.setdefault("name", name)
    full.setdefault("evaluate", {"enforce_gates": False})
    said = [(place, f"{named(place)}: {_target(place)} says the same; keep one of them") for place in twice]
    return full, [*said, *_no_fields(values.get("hyperparameters"))]


def _no_fields(given: Any) -> Iterator[tuple[Place, str]]:
    if given is not None and not isinstance(given, dict):
        yield ("hyperparameters",), f"hyperparameters={given!r}: expected fields (name: value), one a line"


def _moves(values: Values, known: Catalog) -> list[tuple[Place, Place, Any]]:
    """What the short form says: where it stands, where it goes, and its value."""
    flat = [((key,), path, values[key]) for key, path in FLAT.items() if key in values]
    flat = [(key, path, _teachers(value, known) if key == ("teacher_model",) else value) for key, path, value in flat]
    given = values.get("hyperparameters")
    fields = given.items() if isinstance(given, dict) else ()
    return [*flat, *((("hyperparameters", key), _target_of(key), value) for key, value in fields)]


def _target_of(key: str) -> Place:
    return HYPERPARAMETERS.get(key, ("train", key))


def _target(place: Place) -> str:
    return named(FLAT[str(place[0])] if len(place) == 1 else _target_of(str(place[1])))


def _teachers(model: Any, known: Catalog) -> Any:
    if not isinstance(model, str):
        return [{"model": model, "connection": "teacher"}]
    facts = known.teacher(model)
    return [{"model": (facts and facts.name) or model, "connection": _connection(model)}]


def _connection(model: str) -> str:
    """Connections take 3 to 33 characters, the first a letter or digit."""
    name = _slug(model)[:33]
    return name if len(name) > 2 else f"{name}teacher"


def _slug(model: str) -> str:
    """The part of a path or address that names the model, safe as the name of a job."""
    last = model.partition("/versions/")[0].rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_-]", "-", last).lstrip("-_")[:101]


def _put(full: Values, path: Place, value: Any) -> bool:
    """Put a value where it goes, unless one is there already. A section that is none is pydantic's to refuse."""
    *folders, name = path
    place = full
    for folder in folders:
        section = place.get(str(folder), {})
        if not isinstance(section, dict):
            return True
        place[str(folder)] = place = dict(section)
    fresh = str(name) not in place
    place.setdefault(str(name), value)
    return fresh


def as_written(place: Place, values: Values) -> Place:
    """Where the user wrote, or would write, what stands at `place` in full."""
    short = _written(place) if any(key in values for key in SHORT) else ()
    options = (*short, place)
    return max(options, key=lambda option: _depth(values, option))


def _written(place: Place) -> tuple[Place, ...]:
    flat = tuple((key,) for key, path in FLAT.items() if place[: len(path)] == path or path[: len(place)] == place)
    section, *rest = place or ("",)
    hyper = tuple(("hyperparameters", key) for key, path in HYPERPARAMETERS.items() if place == path)
    other = (("hyperparameters", *rest),) if section == "train" and rest else ()
    return (*flat, *hyper, *other)


def _depth(node: Any, place: Place) -> int:
    """How many parts of `place` are there."""
    if not place:
        return 0
    try:
        inner = node[place[0]]
    except (KeyError, IndexError, TypeError):
        return 0
    return 1 + _depth(inner, place[1:])
