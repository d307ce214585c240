"""Override fields of a job, as in `--set train.learning_rate=1e-5`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from azdistill.contracts.problems import FieldPath
from azdistill.job.shorthand import SHORT, Values


def override_short(values: Values, settings: Mapping[str, str]) -> Values:
    """Apply the settings of the short form, such as `student_model`, before it is expanded."""
    for name, text in settings.items():
        if _is_short(name):
            values = _with(values, _path(values, name), text)
    return values


def override(values: Values, settings: Mapping[str, str]) -> tuple[Values, set[FieldPath]]:
    """Apply the other settings to the expanded values. Returns the values, and the fields that were set."""
    fields: set[FieldPath] = set()
    for name, text in settings.items():
        if not _is_short(name):
            field = _path(values, name)
            values = _with(values, field, text)
            fields.add(field)
    return values, fields


def _is_short(name: str) -> bool:
    return name.partition(".")[0] in SHORT


def _path(values: Values, name: str) -> FieldPath:
    """The field path of a dotted name. A key may contain dots: `simulation.gpt-4.1.latency_ms`."""
    keys: list[str | int] = []
    rest, node = name, values
    while rest:
        key = _longest(rest, _known_keys(values, tuple(keys), node)) or rest.partition(".")[0]
        rest = rest[len(key) + 1 :]
        index = isinstance(node, list) and key.isdigit()
        keys.append(int(key) if index else key)
        node = _child(node, keys[-1])
    return tuple(keys)


def _known_keys(values: Values, path: FieldPath, node: Any) -> Iterable[str]:
    if path == ("simulation",):
        teachers = _child(_child(values, "teacher"), "teachers")
        models = [*(teachers if isinstance(teachers, list) else ()), _child(_child(values, "judge"), "judge_model")]
        return [str(model.get("name") or model.get("model")) for model in models if isinstance(model, dict)]
    return map(str, node) if isinstance(node, dict) else ()


def _longest(name: str, keys: Iterable[str]) -> str:
    return max((key for key in keys if name == key or name.startswith(f"{key}.")), key=len, default="")


def _child(node: Any, key: str | int) -> Any:
    try:
        return node[key]
    except (KeyError, IndexError, TypeError):
        return None


def _with(node: Any, path: FieldPath, text: str) -> Any:
    """A copy of `node` in which the field at `path` has the value of `text`."""
    if not path:
        return _value(text)
    key, *rest = path
    if isinstance(node, list) and isinstance(key, int) and key < len(node):
        return [_with(entry, tuple(rest), text) if index == key else entry for index, entry in enumerate(node)]
    mapping = node if isinstance(node, dict) else {}
    return {**mapping, key: _with(mapping.get(key), tuple(rest), text)}


def _value(text: str) -> Any:
    """Parse a list or a mapping, which is written as JSON. A scalar stays text: pydantic converts it."""
    if text[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text
