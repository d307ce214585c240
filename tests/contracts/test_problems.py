"""Pydantic errors become problems: code, field, value and a message in plain words."""

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from azdistill.contracts.problems import explain, problems_of


def _reject(value: str) -> str:
    if value == "taken":
        raise PydanticCustomError("duplicate_name", "is used twice", {"fix": "rename one"})
    if value == "bad":
        raise ValueError("must not be bad")
    return value


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = 0


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    rate: float = Field(0.001, gt=0, le=0.01)
    rows: int = Field(1, ge=1)
    task: Literal["nli", "qa", "math"] = "qa"
    only: Literal["distillation"] = "distillation"
    on: bool = True
    name: Annotated[str, Field(min_length=2, max_length=5, pattern="^[a-z]+$"), AfterValidator(_reject)] = "name"
    entries: list[Inner] = Field(default_factory=list, max_length=2)
    inner: Inner = Inner()
    until: date = date(2026, 1, 1)
    api_key: int = 0
    label: str


CASES: list[tuple[dict[str, Any], str, tuple[str | int, ...], Any, str]] = [
    ({"rate": 0.2}, "out_of_range", ("rate",), 0.2, "must be at most 0.01"),
    ({"rate": 0}, "out_of_range", ("rate",), 0, "must be greater than 0"),
    ({"rate": float("nan")}, "out_of_range", ("rate",), None, "must be a finite number"),
    ({"rate": "fast"}, "wrong_type", ("rate",), "fast", "must be a number"),
    ({"rows": 0}, "out_of_range", ("rows",), 0, "must be at least 1"),
    ({"rows": 1.5}, "wrong_type", ("rows",), 1.5, "must be a whole number"),
    ({"task": "chat"}, "invalid_choice", ("task",), "chat", "must be 'nli', 'qa' or 'math'"),
    ({"only": "x"}, "invalid_choice", ("only",), "x", "must be 'distillation'"),
    ({"on": "maybe"}, "wrong_type", ("on",), "maybe", "must be true or false"),
    ({"name": 5}, "wrong_type", ("name",), 5, "must be text"),
    ({"name": "a"}, "wrong_length", ("name",), "a", "must have at least 2 characters"),
    ({"name": "abcdef"}, "wrong_length", ("name",), "abcdef", "must have at most 5 characters"),
    ({"name": "A1"}, "wrong_format", ("name",), "A1", "must match ^[a-z]+$"),
    ({"name": "bad"}, "invalid_value", ("name",), "bad", "must not be bad"),
    ({"name": "taken"}, "duplicate_name", ("name",), "taken", "is used twice"),
    ({"entries": [{}, {"count": "x"}]}, "wrong_type", ("entries", 1, "count"), "x", "must be a whole number"),
    ({"entries": [{}, {}, {}]}, "wrong_length", ("entries",), None, "must have at most 2 entries"),
    ({"entries": {}}, "wrong_type", ("entries",), None, "must be a list, one `- entry` a line"),
    ({"inner": "x"}, "wrong_type", ("inner",), "x", "must be a mapping, one `name: value` a line"),
    ({"inner": {"cuont": 1}}, "unknown_field", ("inner", "cuont"), None, "unknown field"),
    ({"until": "soon"}, "wrong_type", ("until",), "soon", "must be a date such as 2026-09-02"),
    ({"api_key": "sesame"}, "wrong_type", ("api_key",), None, "must be a whole number"),
]


def validation_error(values: dict[str, Any]) -> ValidationError:
    with pytest.raises(ValidationError) as error:
        Model.model_validate(values)
    return error.value


@pytest.mark.parametrize(("values", "code", "field", "value", "message"), CASES)
def test_each_error_is_a_problem(
    values: dict[str, Any], code: str, field: tuple[str | int, ...], value: Any, message: str
) -> None:
    (problem,) = problems_of(validation_error({"label": "x", **values}))
    shown = None if problem.value != problem.value else problem.value  # NaN is not equal to itself
    assert (problem.code, problem.field, shown, problem.message) == (code, field, value, message)


def test_all_errors_are_listed_with_the_given_fields() -> None:
    missing, rate = sorted(
        problems_of(validation_error({"rate": 1}), file=Path("a.json")), key=lambda problem: problem.code
    )
    assert (missing.code, missing.message, missing.file) == (
        "missing_field",
        "required field is missing",
        Path("a.json"),
    )
    assert (rate.code, rate.file) == ("out_of_range", Path("a.json"))


def test_a_custom_error_brings_its_fix() -> None:
    (problem,) = problems_of(validation_error({"label": "x", "name": "taken"}))
    assert (problem.fix, str(problem)) == ("rename one", "name='taken': is used twice; rename one")


def test_an_explanation_is_one_line() -> None:
    text = explain(validation_error({"rate": 1}))
    assert text == "rate=1: must be at most 0.01; label: required field is missing"
