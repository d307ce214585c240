"""Problems of a job file, with suggestions for typos and wrong values."""

import re
import types
import typing
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from azdistill.contracts.problems import (
    MAX_NAME_LENGTH,
    SECRET_NAME,
    FieldPath,
    Problem,
    close_names,
    dotted,
    format_number,
    may_be_secret,
    problem_of,
)
from azdistill.contracts.step import StepConfig
from azdistill.job.catalog import Catalog
from azdistill.job.shorthand import FLAT, INHERITED, SHORT, Values, as_written

# Patterns of the models, as text for messages.
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$": "at most 101 letters, digits, '.', '_' and '-', starting with a letter or "
    "digit",
    r"^[A-Za-z0-9-]+$": "letters, digits and '-'",
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-', starting with a letter or digit",
    r"^[A-Za-z0-9_]+$": "letters, digits and '_'",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$": "letters, digits, '_', '.' and '-'",
    r"^[A-Za-z0-9_-]+$": "letters, digits, '_' and '-'",
    r"^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)+$": "labels separated by commas, without spaces",
    r"^[A-Za-z][A-Za-z0-9_]*$": "letters, digits and '_', starting with a letter",
    r"^[1-9][0-9]*[bkmgBKMG]$": "a number and a unit, such as 16g or 512m",
    r"^\w+$": "a VM size such as Standard_NC24ads_A100_v4",
    r"^https?://": "a URL that starts with https://",
    r"^https://\S+/\.default$": "a scope such as https://cognitiveservices.azure.com/.default",
    r"^[A-Za-z_][A-Za-z0-9_]*$": "the name of an environment variable (letters, digits and '_'), never the key itself",
    r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$": "3 to 33 letters, digits, '_' and '-', starting with a letter or digit",
    r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$": "a GUID, as `az identity show` prints it as clientId",
    r"\.py$": "a Python file",
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(,[A-Za-z0-9_][A-Za-z0-9_.-]*)*$": "all-linear, or names of modules separated by "
    "commas, without spaces",
    r"^azureml:": "an address that starts with azureml:",
    r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$": "letters, digits and '-', starting with a letter and not ending with '-'",
    r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$": "an image with its digest, such as NAME:TAG@sha256:...",
    r"^(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/)?"
    r"[A-Za-z0-9][A-Za-z0-9_-]{2,127}$": "the name of a user-assigned identity, or its resource id",
    r"^(uniform|[0-9]{1,4}:[0-9]{1,4}(,[0-9]{1,4}:[0-9]{1,4})*)$": "uniform, or pairs of layers such as 1:4,2:8",
    r"^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?(,[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)*$": "numbers such as 1,0.5",
    r"^[a-z]{2,3}$": "a language code such as en or deu",
    r"^(same|[a-z]{2,3})$": "same, or a language code such as en",
}

# Names that users give a section by mistake, and the section.
SECTION_NAMES = {"training": "train", "curation": "curate", "prediction": "predict", "evaluation": "evaluate"}

# Names of other tools for our fields.
OTHER_NAMES = {"lr": "learning_rate", "per_device_train_batch_size": "batch_size", "model_name": "model"}

# Similarity above which an unknown name is a typo of a field in the same section. A less similar name may belong to
# another section.
TYPO = 0.85

REFERENCE = "see `azdistill docs reference`"


def errors_of(error: ValidationError) -> list[ErrorDetails]:
    """The errors of a failed validation, without those that are only a consequence of others."""
    errors = error.errors(include_url=False)
    sections = {detail["loc"][:length] for detail in errors for length in range(len(detail["loc"]))}
    # pydantic reports a list as too short only because its entries are wrong.
    return [detail for detail in errors if detail["type"] != "too_short" or detail["loc"] not in sections]


def job_problems(errors: Iterable[ErrorDetails], model: type[BaseModel], values: Values) -> Iterator[Problem]:
    """Problems of a failed validation. Their fields are named as the user wrote them in `values`."""
    return (_problem(error, model, values) for error in errors)


def _problem(detail: ErrorDetails, model: type[BaseModel], values: Values) -> Problem:
    kind, field, value = detail["type"], _field(model, detail["loc"]), detail["input"]
    problem = replace(problem_of(detail), field=as_written(detail["loc"], values))
    if kind == "extra_forbidden":
        return replace(problem, fix=_suggestion(detail["loc"], model))
    if kind == "missing":
        target = FLAT.get(dotted(problem.field))
        if target and problem.field != detail["loc"]:  # of the short form, whose fields have no sections
            target = (*target, 0, "model") if target == FLAT["teacher_model"] else target
            fix = f"add `{dotted(problem.field)}:` ({_description(_field(model, target))})"
            return replace(problem, message="required field is missing", fix=fix)
        message = "required section is missing" if _section_of(field) else "required field is missing"
        return replace(problem, message=message, fix=f"add {_example(problem.field, field)}")
    if value in (None, ""):
        fix = f"set a value: {_description(field)}"
        return replace(problem, code="empty_field", message="must not be empty", fix=fix, value=value)
    if kind == "string_pattern_mismatch":
        form = PATTERNS.get(detail["ctx"]["pattern"], f"like {detail['ctx']['pattern']}")
        return replace(problem, message=f"must be {form}", fix=_respelled(detail))
    if kind == "model_type" and (section := _model(model, detail["loc"])):
        return replace(problem, fix=_as_section(section, problem) or f"its fields are {_listed(_own(section), 6)}")
    if kind == "too_short" and detail["ctx"]["min_length"] == 1:
        return replace(problem, message="must have at least one entry")
    if kind == "string_type" and isinstance(value, (int, float)):
        return replace(problem, fix=f"put it in quotes: '{value}'")
    if kind == "literal_error":
        return replace(problem, fix=_closest(str(value), detail["ctx"]["expected"]))
    return replace(problem, fix=problem.fix or _number_suggestion(detail, field))


def _as_section(section: type[BaseModel], problem: Problem) -> str:
    """The fix for a text in place of a section that requires one text. Empty for another one."""
    required = [name for name, info in section.model_fields.items() if info.is_required()]
    value, last = problem.value, problem.field[-1]
    is_name = isinstance(value, str) and re.fullmatch(r"[\w./-]+", value) and not may_be_secret(str(last), value)
    if not is_name or len(required) != 1 or section.model_fields[required[0]].annotation is not str:
        return ""
    name = "" if isinstance(last, int) else f"{last}: "
    return f"write {name}{{{required[0]}: {value}}}"


def _suggestion(loc: FieldPath, model: type[BaseModel]) -> str:
    """Suggestions for an unknown field: a similar name in its section, its name in another section, or a list."""
    *parents, last = loc
    section, written = _model(model, tuple(parents)) or model, str(last)
    name = OTHER_NAMES.get(written, written if parents else SECTION_NAMES.get(written, written))
    known = [*_own(section), *(() if parents else SHORT)]
    elsewhere = [dotted(path) for path in _all_paths(model) if path[-1] == name]
    if suggestions := close_names(name, known, TYPO) or elsewhere or close_names(name, known):
        return f"did you mean {' or '.join(suggestions)}?"
    if SECRET_NAME.search(name):
        return "a job holds no keys: put the key into an environment variable and set key_variable to its name"
    return f"the fields of {dotted(tuple(parents)) or 'a job'} are {_listed(known, 20)}"


def _own(section: type[BaseModel]) -> list[str]:
    """The fields that are set in a section itself, required fields first."""
    shared = INHERITED if issubclass(section, StepConfig) else ()
    fields = {name: info for name, info in section.model_fields.items() if name not in shared}
    return sorted(fields, key=lambda name: not fields[name].is_required())


def _listed(names: list[str], limit: int) -> str:
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")


def _closest(value: str, choices: str) -> str:
    """A suggestion from the choices in "'nli', 'qa' or 'math'"."""
    close = close_names(value.casefold(), re.findall(r"'([^']+)'", choices))
    return f"did you mean {close[0]}?" if close else ""


def _respelled(detail: ErrorDetails) -> str:
    """A suggestion for a value with a wrong form. Empty if there is no obvious one."""
    pattern, value = detail["ctx"]["pattern"], detail["input"]
    if may_be_secret(dotted(detail["loc"]), value) or "://" in value or len(value) > MAX_NAME_LENGTH:
        return ""
    without_spaces = re.sub(r"\s*,\s*", ",", value)
    options = [
        f"https://{value}" if "." in value else "",
        without_spaces,
        re.sub(r"[^A-Za-z0-9._-]+", "-", value).strip("-"),
    ]
    right = next((option for option in options if re.search(pattern, option)), None)
    return f"did you mean {right}?" if right else ""


def _number_suggestion(detail: ErrorDetails, field: FieldInfo | None) -> str:
    """Suggest a valid number: a percentage as a fraction, otherwise the default or else the example of the field."""
    bounds = detail.get("ctx", {})
    default = next((value for value in _usual(field) if isinstance(value, (int, float))), None)
    if detail["type"] in ("int_parsing", "int_from_float", "float_parsing") and default is not None:
        return f"for example {format_number(default)}"
    if not {"gt", "ge", "lt", "le"} & bounds.keys():
        return ""
    maximum, value = bounds.get("le", bounds.get("lt")), float(detail["input"])
    smallest_percent = {1: 5, 2: 10}.get(maximum or 0)  # 1.5 or 2 is more likely a wrong fraction than a percentage
    if smallest_percent and smallest_percent <= value <= 100 and (value < 100 or bounds.get("lt") != 1):
        return f"did you mean {format_number(value / 100)}?"
    return "" if default is None else f"did you mean {format_number(default)}?"


def _usual(field: FieldInfo | None) -> list[Any]:
    return [field.default, *(field.examples or ())] if field else []


def _example(path: FieldPath, field: FieldInfo | None) -> str:
    """A section with its required fields, or a field with its description."""
    name = f"`{path[-1]}:`"
    if field and typing.get_origin(field.annotation) is tuple:
        return f"{name} with at least one entry"
    if not (section := _section_of(field)):
        return f"{name} ({_description(field)})"
    required = [(name, info) for name, info in section.model_fields.items() if info.is_required()]
    entries = [
        f"at least one entry in `{name}:`" if typing.get_origin(info.annotation) is tuple else f"`{name}:`"
        for name, info in required
    ]
    return f"{name} with {' and '.join(entries)}" if entries else name


def _description(field: FieldInfo | None) -> str:
    if field is None or not field.description:
        return REFERENCE
    choices = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
    text = field.description.rstrip(".")
    text = text if text[1:2].isupper() else text[:1].lower() + text[1:]
    return f"{text} ({', '.join(choices)})" if choices else text


def _field(model: type[BaseModel], path: FieldPath) -> FieldInfo | None:
    section = _model(model, path[:-1])
    return section.model_fields.get(str(path[-1])) if section and path else None


def _section_of(field: FieldInfo | None) -> type[BaseModel] | None:
    return _as_model(field.annotation) if field else None


def _model(model: type[BaseModel], path: FieldPath) -> type[BaseModel] | None:
    """The model of the section at `path`."""
    kind: Any = model
    for key in path:
        kind = _without_none(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(key)].annotation if key in kind.model_fields else None
        elif typing.get_origin(kind) in (tuple, dict):
            kind = next(arg for arg in typing.get_args(kind) if arg not in (str, Ellipsis))
        else:
            return None
    return _as_model(_without_none(kind))


def _without_none(kind: Any) -> Any:
    """The type of an optional section."""
    options = [option for option in typing.get_args(kind) if option is not types.NoneType]
    return options[0] if isinstance(kind, types.UnionType) and len(options) == 1 else kind


def _as_model(kind: Any) -> type[BaseModel] | None:
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


@cache
def _all_paths(model: type[BaseModel]) -> tuple[FieldPath, ...]:
    return tuple(_paths(model))


def _paths(model: type[BaseModel], parents: FieldPath = ()) -> Iterator[FieldPath]:
    """The path of every field that a job file can set, except those of the catalog."""
    for name, info in model.model_fields.items():
        if name in _own(model):
            yield (*parents, name)
        entries = typing.get_args(info.annotation) if typing.get_origin(info.annotation) is tuple else None
        section = _as_model(entries[0] if entries else info.annotation)
        if section and section is not Catalog:
            yield from _paths(section, (*parents, name, 0) if entries else (*parents, name))
