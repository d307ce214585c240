"""The short form of the tutorials, expanded into sections."""

from typing import Any

from azdistill.spec.catalog import TEACHERS

_HYPERPARAMETERS = {
    "learning_rate": ("training", "learning_rate"),
    "batch_size": ("training", "batch_size"),
    "num_epochs": ("training", "num_epochs"),
    "temperature": ("teacher", "temperature"),
    "max_tokens": ("teacher", "max_tokens"),
}
_FLAT = {
    "task_type": ("task",),
    "training_data": ("data", "training_data"),
    "validation_data": ("data", "validation_data"),
    "test_data": ("data", "test_data"),
    "student_model": ("student", "model"),
    "teacher_model": ("teacher", "teachers"),
}


def expand(values: dict[str, Any]) -> dict[str, Any]:
    """Move the short form's keys to their sections. What is not of the short form stays as it is.

    A teacher that is named alone gets the connection of the same name and its gates are
    reported, not enforced: a tutorial's few rows can't prove a student.
    """
    if not (_FLAT.keys() | {"hyperparameters"}) & values.keys():
        return values
    full = {key: value for key, value in values.items() if key not in _FLAT and key != "hyperparameters"}
    for key, path in _FLAT.items():
        if key in values:
            _put(full, path, _teachers(values[key]) if key == "teacher_model" else values[key], key)
    for key, value in (values.get("hyperparameters") or {}).items():
        _put(full, _HYPERPARAMETERS.get(key, ("training", key)), value, f"hyperparameters.{key}")
    if "student_model" in values:
        full.setdefault("name", f"{_slug(values['student_model'])}")
    full.setdefault("evaluation", {"enforce_gates": False})
    return full


def _teachers(model: str) -> list[dict[str, str]]:
    return [{"model": TEACHERS.get(model, model), "connection": _slug(model)[:33]}]


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in name.rstrip("/").rsplit("/", 1)[-1])


def _put(full: dict[str, Any], path: tuple[str, ...], value: Any, key: str) -> None:
    *folders, name = path
    place = full
    for folder in folders:
        section = place.get(folder, {})
        place[folder] = dict(section if isinstance(section, dict) else section.model_dump(exclude_unset=True))
        place = place[folder]
    if name in place:
        raise ValueError(f"{key} and {'.'.join(path)} say the same thing: keep one of them")
    place[name] = value


def written(place: tuple[str | int, ...]) -> tuple[tuple[str | int, ...], ...]:
    """Where the short form may have said what stands at `place` of the full form."""
    flat = tuple((key,) for key, path in _FLAT.items() if place[: len(path)] == path)
    section, *rest = place or ("",)
    hyper = tuple(("hyperparameters", key) for key, path in _HYPERPARAMETERS.items() if place == path)
    other = (("hyperparameters", *rest),) if section == "training" and rest else ()
    return (*flat, *hyper, *other)
