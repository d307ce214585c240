"""Problems as data: their text, and values that are never shown."""

import pickle
from pathlib import Path

import pytest

from azdistill.engine.errors import InputError
from azdistill.engine.problems import Problem, format_number, has_errors, may_be_secret, suggest

RATE = Problem(
    code="out_of_range",
    message="must be at most 0.01",
    fix="did you mean 2e-5?",
    file=Path("job.yaml"),
    line=12,
    field=("train", "learning_rate"),
    value=0.2,
)


def test_the_text_is_location_field_value_message_and_fix() -> None:
    assert str(RATE) == "job.yaml:12: train.learning_rate=0.2: must be at most 0.01; did you mean 2e-5?"
    warning = Problem(code="x", message="is old", severity="warning", file=Path("a"), subject="teacher t", command="up")
    assert str(warning) == "a: warning: teacher t: is old; up"
    assert str(Problem(code="x", message="no key", fix="set it", command="export K=")) == "no key; set it: export K="


def test_a_problem_can_be_moved_to_a_line() -> None:
    assert RATE.at(Path("b.yaml"), 3).location == "b.yaml:3"
    assert RATE.at(Path("b.yaml")).location == "b.yaml"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "sesame"),
        ("teacher.hf_token", "sesame"),
        ("connection", "sk-live-123"),
        ("label", "eyJ0eXAiOiJKV1Qi"),
        ("label", "aaaaaaaaaaaaaaaaaaaa0123456789bbbbbbbbbbbbbbbbbbbb"),
        ("label", "Zm9v/YmFy+cXV4Zm9vYmFycXV4Zm9vYmFycXV4Zm9v1=="),
        ("url", "https://user:password@proxy:8080"),
        ("url", "https://token@example.org/rows.csv"),
        ("url", "wasbs://container:password@account.blob.core.windows.net/rows.jsonl"),
        ("url", "abfss://container@account.dfs.core.windows.net/rows.jsonl?sig=abc"),
        ("url", "https://a.blob.core.windows.net/c/rows.jsonl?sv=2024&sig=abc"),
        ("url", "https://a.azurewebsites.net/api/score?code=abc"),
    ],
)
def test_a_value_that_may_be_secret_is_not_kept(name: str, value: str) -> None:
    assert may_be_secret(name, value)
    problem = Problem(code="x", message="is wrong", field=tuple(name.split(".")), value=value)
    assert problem.value is None
    assert value not in repr(problem)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model", "deepseek-v3-0324"),
        ("path", "/data/projects/support-2026/rows/training_data_part_1.jsonl"),
        ("path", "./runs/2026-11-28/a-very-long-folder-name/with-another-one"),
        ("url", "https://example.org/rows.csv?version=3"),
        ("path", "wasbs://container@account.blob.core.windows.net/rows.jsonl"),
        ("path", "wasb://container@account.blob.core.windows.net/rows.jsonl"),
        ("path", "abfss://container@account.dfs.core.windows.net/rows.jsonl"),
        ("path", "ABFS://container@account.dfs.core.windows.net/rows.jsonl"),
        ("max_tokens", 5),
    ],
)
def test_other_values_are_kept(name: str, value: object) -> None:
    assert Problem(code="x", message="is wrong", field=(name,), value=value).value == value


def test_only_scalars_are_kept() -> None:
    assert Problem(code="x", message="is wrong", field=("a",), value={"key": "secret"}).value is None
    assert Problem(code="x", message="is wrong", field=("a",), value=["secret"]).value is None


def test_a_long_value_is_shortened_and_control_characters_are_escaped() -> None:
    text = str(Problem(code="x", message="is wrong", field=("a\x1b[2J",), value="y" * 100))
    assert text == f"a\\x1b[2J='{'y' * 37}...{'y' * 37}': is wrong"


def test_numbers_are_written_as_people_write_them() -> None:
    assert [format_number(number) for number in (2e-5, 0.01, 3.0, 1e20)] == ["2e-5", "0.01", "3", "1e+20"]


def test_a_suggestion_is_the_closest_name_or_all_names() -> None:
    assert suggest("rwos", ["rows", "columns"]) == "did you mean 'rows'?"
    assert suggest("x", ["rows", "columns"]) == "it has columns, rows"
    assert suggest("x", []) == "it has none"


def test_an_error_carries_problems() -> None:
    error = InputError("no such file", file=Path("a.yaml"), fix="create it")
    assert error.problems == (
        Problem(code="invalid_input", message="no such file", file=Path("a.yaml"), fix="create it"),
    )
    assert str(error) == "a.yaml: no such file; create it"
    several = InputError(problems=[RATE, RATE.at(Path("b"))])
    assert str(several).splitlines() == [str(problem) for problem in several.problems]
    assert has_errors(several.problems)


def test_an_error_keeps_its_problems_in_another_process() -> None:
    error = pickle.loads(pickle.dumps(InputError(problems=[RATE])))
    assert (type(error), error.problems) == (InputError, (RATE,))
