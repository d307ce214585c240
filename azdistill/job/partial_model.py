"""Checks of several fields of a job, although other fields of it are invalid.

pydantic runs the validators of a model only if all fields of the model are valid: one wrong value would hide the
errors that these validators find. A `PartialModel` has the valid fields of such a model. A check that reads another
field of it is skipped.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from azdistill.contracts.problems import MAX_PROBLEMS, FieldPath, Problem, close_names

UNIONS = (Union, UnionType)

Check = Callable[[Any], Iterable[Problem]]


class InvalidFieldError(Exception):
    """A check read a field whose value is invalid or missing."""


class PartialModel:
    """The valid fields of a model that has invalid ones. Properties and methods of the model work on them."""

    def __init__(self, model: type[BaseModel], fields: Mapping[str, Any]) -> None:
        self._model, self._fields = model, fields

    def __getattr__(self, name: str) -> Any:
        if name in self._fields:
            return self._fields[name]
        if name in self._model.model_fields:
            raise InvalidFieldError(name)
        return inspect.getattr_static(self._model, name).__get__(self, self._model)


def run_checks(checks: Iterable[Check], subject: Any) -> Iterator[Problem]:
    """The problems that `checks` find in a model or a partial model. A check is skipped from the point on where it
    reads an invalid field."""
    for check in checks:
        with suppress(InvalidFieldError):
            yield from check(subject)


def partial_validation(
    model: type[BaseModel], values: Mapping[str, Any], errors: Sequence[ErrorDetails], context: Any
) -> tuple[Any, list[ErrorDetails]]:
    """The valid fields of `values`, and the errors of the validators that pydantic did not run.

    `errors` are those of a failed validation of `values`. No field counts as valid where more errors than are listed.
    """
    if len(errors) > MAX_PROBLEMS:
        return PartialModel(model, {}), []
    validation = _PartialValidation([error["loc"] for error in errors], context)
    job = validation.model(model, values, ())
    known = {(error["loc"], error["msg"]) for error in errors}
    return job, [error for error in validation.errors if (error["loc"], error["msg"]) not in known]


@dataclass
class _PartialValidation:
    """`paths` are those of all errors. `errors` collects those of validators that pydantic did not run."""

    paths: Sequence[FieldPath]
    context: Any
    errors: list[ErrorDetails] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.invalid = set(self.paths)
        self.adapters: dict[int, tuple[Any, TypeAdapter[Any]]] = {}
        self.sections = {path[:length] for path in self.invalid for length in range(len(path) + 1)}

    def model(self, model: type[BaseModel], values: Mapping[str, Any], path: FieldPath) -> PartialModel:
        """The valid fields of a model at `path`. Runs its validators."""
        fields = {}
        for name in _validators(model, "before"):
            values = getattr(model, name)(values)
        unknown = [str(name) for name in values if name not in model.model_fields]
        for name, info in model.model_fields.items():
            if name in values:
                with suppress(InvalidFieldError):
                    fields[name] = self._value(_annotation(info), values[name], (*path, name))
            elif not info.is_required() and not close_names(name, unknown):  # one may be this name, misspelt
                fields[name] = info.get_default(call_default_factory=True)
        partial = PartialModel(model, fields)
        for name in _validators(model, "after"):
            self._run(getattr(model, name), partial, values, path)
        return partial

    def _run(self, validator: Callable[[Any], Any], partial: PartialModel, values: Any, path: FieldPath) -> None:
        try:
            validator(partial)
        except InvalidFieldError:
            pass
        except PydanticCustomError as error:
            context = error.context or {}
            self.errors.append(
                {"type": error.type, "loc": path, "msg": error.message(), "input": values, "ctx": context}
            )

    def _value(self, annotation: Any, value: Any, path: FieldPath) -> Any:
        """The valid parts of a value: of a list or mapping, its valid entries."""
        if path not in self.sections:
            return self._adapter(annotation).validate_python(value, context=self.context)
        type = _type(annotation)
        if inspect.isclass(type) and issubclass(type, BaseModel) and isinstance(value, Mapping):
            return self.model(type, value, path)
        if path in self.invalid:
            raise InvalidFieldError(path)
        if get_origin(type) is tuple and isinstance(value, Sequence):
            return self._list(get_args(type)[0], value, path)
        if get_origin(type) is dict and isinstance(value, Mapping):
            return self._entries(get_args(type)[1], value.items(), path)
        raise InvalidFieldError(path)

    def _adapter(self, annotation: Any) -> TypeAdapter[Any]:
        """The validator of a type: one for all entries of a list."""
        if id(annotation) not in self.adapters:
            self.adapters[id(annotation)] = annotation, TypeAdapter(annotation)
        return self.adapters[id(annotation)][1]

    def _list(self, annotation: Any, values: Sequence[Any], path: FieldPath) -> tuple[Any, ...]:
        """The valid entries. A list of sections is invalid if one of them is no section: checks would miss its name."""
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            return tuple(self._value(annotation, value, (*path, index)) for index, value in enumerate(values))
        return tuple(self._entries(annotation, enumerate(values), path).values())

    def _entries(self, annotation: Any, entries: Iterable[tuple[Any, Any]], path: FieldPath) -> dict[Any, Any]:
        valid = {}
        for key, value in entries:
            with suppress(InvalidFieldError):
                valid[key] = self._value(annotation, value, (*path, key))
        return valid


def _type(annotation: Any) -> Any:
    """The type of an annotation without its metadata, and without None."""
    type = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    types = [option for option in get_args(type) if option is not NoneType] if get_origin(type) in UNIONS else [type]
    return types[0] if len(types) == 1 else type


def _annotation(info: FieldInfo) -> Any:
    return Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation


def _validators(model: type[BaseModel], mode: str) -> list[str]:
    """Names of the model validators that run before or after the validation of the fields."""
    validators = model.__pydantic_decorators__.model_validators
    return [name for name, validator in validators.items() if validator.info.mode == mode]
