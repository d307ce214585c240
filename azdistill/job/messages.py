"""What is wrong with a job, and what its author may have meant."""

import re
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from azdistill.contracts.findings import SECRET_NAME, Place, expected, may_be_secret, named, number, sentence
from azdistill.contracts.step import StepConfig
from azdistill.job.catalog import Catalog
from azdistill.job.shorthand import INHERITED, SHORT, Values, as_written

PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$": "at most 101 letters, digits, '.', '_' and '-', the first a letter or digit",
    r"^[A-Za-z0-9-]+$": "letters, digits and '-'",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-', the first a letter or digit",
    r"^\w+$": "a VM size such as Standard_NC24ads_A100_v4",
    r"^https?://": "an address that starts with https://",
    r"^https://\S+/\.default$": "a scope such as https://cognitiveservices.azure.com/.default",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable (letters, digits and '_'), never the key itself",
    r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$": "3 to 33 letters, digits, '_' and '-', the first a letter or digit",
    r"\.py$": "a Python file",
    r"^azureml:": "an address that starts with azureml:",
}
"""Patterns of the models in words."""

RENAMED = {"training": "train", "curation": "curate", "prediction": "predict", "evaluation": "evaluate"}
"""Sections by the names that other tools give to what they hold."""

ELSEWHERE = {"lr": "learning_rate", "per_device_train_batch_size": "batch_size", "model_name": "model", **RENAMED}
"""Names that other tools give to fields of ours."""

# A name this similar to a field of the same section is a typo; one less similar may belong to another section.
TYPO = 0.85

UNKNOWN = "see docs/reference.md"


def in_words(problem: ValidationError, model: type[BaseModel], values: Values) -> list[tuple[Place, str]]:
    """Place and sentence of each finding, both as the user wrote it."""
    errors = problem.errors(include_url=False)
    return [_in_words(error, model, values) for error in errors if not _follows(error, errors)]


def _follows(error: ErrorDetails, errors: list[ErrorDetails]) -> bool:
    """A list is too short for pydantic when its entries are wrong; that is one mistake."""
    place = error["loc"]
    return any(len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in errors)


def _in_words(error: ErrorDetails, model: type[BaseModel], values: Values) -> tuple[Place, str]:
    place = as_written(error["loc"], values)
    return place, sentence(error, named(place), _text(error, model))


def _text(error: ErrorDetails, model: type[BaseModel]) -> str:
    kind, field = error["type"], _field(model, error["loc"])
    if kind == "extra_forbidden":
        return f"unknown field; {_meant(error['loc'], model)}"
    if kind == "missing":
        return f"missing; add it: {_purpose(field)}"
    if error["input"] in (None, ""):
        return f"empty; fill it in: {_purpose(field)}"
    if kind == "string_pattern_mismatch":
        return f"expected {PATTERNS.get(error['ctx']['pattern'], 'another form')}{_respelled(error)}"
    if kind == "model_type" and (section := _model(model, error["loc"])):
        return f"expected fields on lines below it ({_listed(_own(section), 6)})"
    if kind == "string_type" and isinstance(error["input"], (int, float)):
        return f"expected text; write '{error['input']}', in quotes"
    if kind == "literal_error":
        return f"{expected(error)}{_nearest(str(error['input']), error['ctx']['expected'])}"
    return f"{expected(error)}{_in_range(error, field)}"


def _meant(place: Place, model: type[BaseModel]) -> str:
    """What an unknown field may stand for: a like name beside it, the same name elsewhere, or the choice there is."""
    *folder, given = place
    section, name = _model(model, tuple(folder)) or model, ELSEWHERE.get(str(given), str(given))
    known = [*_own(section), *(() if folder else SHORT)]
    elsewhere = [named(found) for found in _paths(model) if found[-1] == name]
    if suggestions := get_close_matches(name, known, 1, TYPO) or elsewhere or get_close_matches(name, known, 1):
        return f"did you mean {' or '.join(suggestions)}?"
    if SECRET_NAME.search(name):
        return "keys stay out of a job: put it into an environment variable and name that in key_variable"
    return f"{named(tuple(folder)) or 'a job'} has {_listed(known, 20)}"


def _own(section: type[BaseModel]) -> list[str]:
    """The fields that are set in a section itself, those that must be first."""
    shared = INHERITED if issubclass(section, StepConfig) else ()
    fields = {name: info for name, info in section.model_fields.items() if name not in shared}
    return sorted(fields, key=lambda name: not fields[name].is_required())


def _listed(names: list[str], most: int = 16) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _nearest(given: str, choice: str) -> str:
    """The likest of "'nli', 'qa' or 'math'"."""
    close = get_close_matches(given.casefold(), re.findall(r"'([^']+)'", choice), 1)
    return f"; did you mean {close[0]}?" if close else ""


def _respelled(error: ErrorDetails) -> str:
    """The same value in the right form, where that is plain."""
    pattern, value = error["ctx"]["pattern"], error["input"]
    if may_be_secret(named(error["loc"]), value) or "://" in value:
        return ""
    options = [f"https://{value}" if "." in value else "", re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-")]
    right = next((option for option in options if re.search(pattern, option)), None)
    return f"; did you mean {right}?" if right else ""


def _in_range(error: ErrorDetails, field: FieldInfo | None) -> str:
    """A number that would do: a percentage as a part of one, else the default."""
    bound = error.get("ctx", {})
    default = field.default if field and isinstance(field.default, (int, float)) else None
    if error["type"] in ("int_parsing", "int_from_float", "float_parsing") and default is not None:
        return f", such as {number(default)}"
    if not {"gt", "ge", "lt", "le"} & bound.keys():
        return ""
    most = bound.get("le", bound.get("lt"))
    percent = float(error["input"])
    if percent <= 100 and ((most == 1 and percent > 1) or (most == 2 and percent > 10)):
        return f"; did you mean {number(percent / 100)}?"
    return "" if default is None else f"; did you mean {number(default)}?"


def _purpose(field: FieldInfo | None) -> str:
    if field is None:
        return UNKNOWN
    section = _as_model(field.annotation)
    about = ((section.__doc__ if section else None) or UNKNOWN).splitlines()[0].rstrip(".")
    text = field.description or about
    text = text if text[1:2].isupper() else text[:1].lower() + text[1:]
    choice = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
    return f"{text} ({', '.join(choice)})" if choice else text


def _field(model: type[BaseModel], place: Place) -> FieldInfo | None:
    section = _model(model, place[:-1])
    return section.model_fields.get(str(place[-1])) if section and place else None


def _model(model: type[BaseModel], place: Place) -> type[BaseModel] | None:
    """The model of the section at `place`."""
    found: Any = model
    for part in place:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[str(part)].annotation if part in found.model_fields else None
        elif typing.get_origin(found) in (tuple, dict):
            found = next(arg for arg in typing.get_args(found) if arg not in (str, Ellipsis))
        else:
            return None
    return _as_model(found)


def _as_model(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _paths(model: type[BaseModel], above: Place = ()) -> Iterator[Place]:
    """Every field of the job where it is set, those of the catalog left out."""
    for name, info in model.model_fields.items():
        if name in _own(model):
            yield (*above, name)
        entries = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is tuple else None
        section = _as_model(entries[0] if entries else info.annotation)
        if section and section is not Catalog:
            yield from _paths(section, (*above, name, 0) if entries else (*above, name))
