"""Problems as data: their text, and values that are never shown."""

import json
import pickle
from pathlib import Path

import pytest

from azdistill.engine.errors import InputError
from azdistill.engine.problems import (
    Problem,
    authenticates,
    format_number,
    has_errors,
    looks_like_key,
    may_be_secret,
    printable,
    suggest,
)
from tests.secret_spellings import random_secrets

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
    refused = Problem(code="x", message="is old", fix="remove it", refused_by=("client", "engine"))
    assert str(refused) == "is old (azure-ai-ml, local engine); remove it"
    assert refused.unattributed == "is old; remove it"
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
        ("url", "https://a.azurewebsites.net/api/score?x=sk-live-123"),
        ("url", "https://host/v1#access_token=abc"),
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


def test_a_newline_in_the_name_of_a_file_is_escaped() -> None:
    assert str(Problem(code="x", message="wrong", file=Path("a\nb.yml"), line=3)) == r"a\nb.yml:3: wrong"


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


def test_a_key_in_place_of_a_name_is_recognised() -> None:
    keys = [secret for number, secret in enumerate(random_secrets(600)) if number % 6 in (0, 1, 2)]
    assert [key for key in keys if not looks_like_key(key)] == []
    assert looks_like_key("hf_" + "aB3" * 10)


@pytest.mark.parametrize(
    "name",
    [
        *("TEACHER_KEY", "AZDISTILL_KEY_OF_DEEPSEEK_V3_0324_IN_EAST_US_2", "deepseek-v3-0324-eastus2", "gpt-4-1-mini"),
        *("Llama-3-3-70B-Instruct", "my-company-openai-prod-2026-11-28", "K8S", "deepseekv30324eastus2production"),
        *("DeepSeekV3ForTheDistillationTeam01", "sk-learn-teachers-of-2026", "hf-models-of-the-research-team"),
    ],
)
def test_a_name_is_no_key(name: str) -> None:
    assert not looks_like_key(name)


def test_parameters_of_urls_that_authenticate() -> None:
    secret = (
        "code",
        "sig",
        "api-key",
        "subscription-key",
        "Ocp-Apim-Subscription-Key",
        "access_token",
        "X-Amz-Signature",
    )
    assert all(authenticates(name, "x") for name in secret)
    assert not any(authenticates(name, "2024-10-21") for name in ("api-version", "deployment", "keyword", "sv", "se"))


def test_nothing_that_controls_a_terminal_is_printed() -> None:
    text = "\x1b]0;title\x07 \x9b31m \u202egpj.exe\u2066 \U000e0041 \ud800 \x7f one\ttwo\nthree \u00e9\u4e2d\U0001f600"
    assert printable(text) == (
        r"\x1b]0;title\x07 \u009b31m \u202egpj.exe\u2066 \udb40\udc41 \ud800 \u007f one"
        "\ttwo\nthree \u00e9\u4e2d\U0001f600"
    )
    assert printable(printable(text)) == printable(text)
    (content,) = json.loads(printable(json.dumps([text], ensure_ascii=False)))
    assert content == text
