"""Problems of pydantic models, in plain words. `Problem` is defined in `azdistill.engine.problems`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from azdistill.engine.problems import MAX_NAME_LENGTH as MAX_NAME_LENGTH
from azdistill.engine.problems import MAX_PROBLEMS as MAX_PROBLEMS
from azdistill.engine.problems import SECRET_NAME as SECRET_NAME
from azdistill.engine.problems import SECRET_URL as SECRET_URL
from azdistill.engine.problems import FieldPath as FieldPath
from azdistill.engine.problems import Problem as Problem
from azdistill.engine.problems import Severity as Severity
from azdistill.engine.problems import authenticates as authenticates
from azdistill.engine.problems import close_names as close_names
from azdistill.engine.problems import dotted as dotted
from azdistill.engine.problems import format_number as format_number
from azdistill.engine.problems import has_errors as has_errors
from azdistill.engine.problems import limited as limited
from azdistill.engine.problems import looks_like_key as looks_like_key
from azdistill.engine.problems import may_be_secret as may_be_secret
from azdistill.engine.problems import shorten as shorten
from azdistill.engine.problems import suggest as suggest

_MAPPING = "must be a mapping, one `name: value` a line"
_LIST = "must be a list, one `- entry` a line"

# Problems of one document that a message lists.
MAX_EXPLAINED = 10

# Code and message of each of pydantic's error types; a message is filled in with the error's context (`{le:g}`).
# https://docs.pydantic.dev/latest/errors/validation_errors/
_ERRORS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("out_of_range", "must be greater than {gt:g}"),
    "greater_than_equal": ("out_of_range", "must be at least {ge:g}"),
    "less_than": ("out_of_range", "must be less than {lt:g}"),
    "less_than_equal": ("out_of_range", "must be at most {le:g}"),
    "multiple_of": ("out_of_range", "must be a multiple of {multiple_of:g}"),
    "finite_number": ("out_of_range", "must be a finite number"),
    "int_type": ("wrong_type", "must be a whole number"),
    "int_parsing": ("wrong_type", "must be a whole number"),
    "int_from_float": ("wrong_type", "must be a whole number"),
    "float_type": ("wrong_type", "must be a number"),
    "float_parsing": ("wrong_type", "must be a number"),
    "bool_type": ("wrong_type", "must be true or false"),
    "bool_parsing": ("wrong_type", "must be true or false"),
    "string_type": ("wrong_type", "must be text"),
    "model_type": ("wrong_type", _MAPPING),
    "model_attributes_type": ("wrong_type", _MAPPING),
    "dict_type": ("wrong_type", _MAPPING),
    "tuple_type": ("wrong_type", _LIST),
    "list_type": ("wrong_type", _LIST),
    "date_type": ("wrong_type", "must be a date such as 2026-09-02"),
    "date_parsing": ("wrong_type", "must be a date such as 2026-09-02"),
    "date_from_datetime_parsing": ("wrong_type", "must be a date such as 2026-09-02"),
    "string_too_short": ("wrong_length", "must have at least {min_length} characters"),
    "string_too_long": ("wrong_length", "must have at most {max_length} characters"),
    "too_short": ("wrong_length", "must have at least {min_length} entries"),
    "too_long": ("wrong_length", "must have at most {max_length} entries"),
    "string_pattern_mismatch": ("wrong_format", "must match {pattern}"),
    "literal_error": ("invalid_choice", "must be {expected}"),
    "extra_forbidden": ("unknown_field", "unknown field"),
    "missing": ("missing_field", "required field is missing"),
}


def problems_of(error: ValidationError, **changes: Any) -> tuple[Problem, ...]:
    """A problem for each error of a failed validation. `changes` are fields of all of them: `subject="step train"`."""
    return tuple(replace(problem_of(detail), **changes) for detail in error.errors(include_url=False))


def problem_of(detail: ErrorDetails) -> Problem:
    """Problem of one pydantic error.

    A validator that raises `PydanticCustomError("duplicate_name", "is used twice", {"fix": "rename one"})` gives the
    problem's code, message and fix; one that raises ValueError gives the code `invalid_value`.
    """
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _ERRORS:
        code, template = _ERRORS[kind]
        message = template.format(**context)
    elif kind in ("value_error", "assertion_error"):
        code, message = "invalid_value", detail["msg"].partition(", ")[2]
    else:
        code, message = kind, detail["msg"]
    is_present = kind not in ("missing", "extra_forbidden")
    return Problem(
        code=code,
        message=message,
        fix=str(context.get("fix", "")),
        field=detail["loc"],
        value=detail["input"] if is_present else None,
    )


def explain(error: ValidationError) -> str:
    """The first problems of a failed validation in one line, and the number of the others."""
    problems = problems_of(error)
    more = f"; and {len(problems) - MAX_EXPLAINED} more" if len(problems) > MAX_EXPLAINED else ""
    return "; ".join(problem.text for problem in problems[:MAX_EXPLAINED]) + more
