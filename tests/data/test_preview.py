"""The description of a data file before a run: formats, shapes of rows, columns that may be question and answer."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.data.columns import suggested_columns
from azdistill.data.preview import preview
from azdistill.doctor.data import describe
from azdistill.doctor.gates import few_rows, rows_needed
from azdistill.evaluation.intervals import wilson
from azdistill.tasks.records import describe_files
from azdistill.tasks.registry import TASKS
from tests.data.shapes import BEDROCK_LOG, COLLECTED, CSV, PAIR, PLAIN, STORED_COMPLETION, A, Q, jsonl, parquet, turns

SHARE_GPT = {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [*[SHARE_GPT] * 97, PLAIN, PLAIN, {"a": 1}],
            "100 rows (ShareGPT 97, chat messages 2), 1 of them rejected, 99",
        ),
        ([PAIR], "1 row (prompt + completion), 1"),
        ([{"question": Q, "answer": A, "id": 7}], "1 row (question + answer), 1"),
        ([{"prompt": turns(Q), "chosen": turns(Q, A)[1:]}], "1 row (prompts as messages), 1"),
        ([{"body": PLAIN}], "1 row (batch requests), 1"),
        ([STORED_COMPLETION], "1 row (stored completions), 0"),
        ([BEDROCK_LOG], "1 row (Bedrock log), 0"),
        ([COLLECTED], "1 row (traffic of the data collector), 0"),
        ([{"a": 1}], "1 row (of no shape that is read), 1 of them rejected, 0"),
    ],
)
def test_the_shapes_of_the_rows_are_counted(tmp_path: Path, rows: list[Any], expected: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(*rows))
    read = preview(tmp_path / "rows.jsonl", TASKS["conversation"])
    assert describe(read) == f"JSONL, {expected} with a reference answer"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("rows.jsonl", CSV, "CSV (its name says JSONL)"),
        ("rows.csv", jsonl(PAIR), "JSONL (its name says CSV)"),
        ("rows.jsonl", parquet(PAIR), "Parquet (its name says JSONL)"),
        ("rows.jsonl", json.dumps([PAIR, PAIR], indent=1).encode(), "JSON array (its name says JSONL)"),
        ("rows.jsonl", gzip.compress(jsonl(PAIR)), "JSONL, gzip (its name says JSONL)"),
        ("rows.csv.gz", jsonl(PAIR), "JSONL (its name says CSV, gzip)"),
        ("rows.csv", b"prompt\n" + jsonl(PAIR), "JSONL (its name says CSV)"),
        ("rows.json", jsonl(PAIR), "JSONL"),
        ("rows.csv", CSV.replace(b",", b"\t"), "TSV"),
        ("rows", CSV, "CSV"),
        ("rows.v2", CSV, "CSV"),
        ("rows.jsonl.gz", gzip.compress(jsonl(PAIR)), "JSONL, gzip"),
    ],
    ids=lambda value: None if isinstance(value, str) else "content",
)
def test_a_name_of_another_format_is_named(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert describe_files(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"Frage": "Wo?", "Antwort": "Hier."}, "{prompt: Frage, completion: Antwort}"),
        ({"id": "7", "reply": "Here.", "customer question": "Where?", "user_message": "x"}, None),
        ({"Antwort": "Hier.", "Frage": "Wo?"}, "{prompt: Frage, completion: Antwort}"),
        ({"id": 3, "a": "Where?", "b": "Here."}, "{prompt: a, completion: b}"),
        ({"răspuns": "Aici.", "text": "Unde?"}, "{prompt: text, completion: răspuns}"),
        ({"it's": "Where?", "c: d": "Here."}, "{prompt: 'it''s', completion: 'c: d'}"),
        ({"text": "Where?", "label": 1}, ""),
        ({"id": "7", "note": "x", "turns": turns(Q, A)}, "{messages: turns}"),
        ({"tags": [], "dialog": SHARE_GPT["conversations"]}, "{messages: dialog}"),
    ],
)
def test_columns_are_suggested_by_their_names_and_order(row: dict[str, Any], expected: str | None) -> None:
    assert suggested_columns(row) == ("{prompt: user_message, completion: reply}" if expected is None else expected)


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        ("qa", {"Passage": "Rome.", "Q": "Where?", "A": "Rome"}, "{question: Q, answer: A, context: Passage}"),
        ("qa", {"text": "Where?", "reply": "Rome"}, "{question: text, answer: reply}"),
        ("summarization", {"body": "Long.", "tldr": "Short."}, "{document: body, summary: tldr}"),
        ("nli", {"Frage": "A?", "Antwort": "neutral"}, "{prompt: Frage, completion: Antwort}"),
    ],
)
def test_the_fields_of_a_suggestion_are_those_of_the_task(task: str, row: dict[str, str], expected: str) -> None:
    assert suggested_columns(row, task) == expected


def test_the_suggested_columns_read_the_file(tmp_path: Path, yaml_value: Callable[[str], Any]) -> None:
    (tmp_path / "rows.csv").write_text("Nr;Frage;Antwort\n1;Wo?;Hier.\n")
    suggestion = preview(tmp_path / "rows.csv", TASKS["conversation"]).suggestion
    read = preview(tmp_path / "rows.csv", TASKS["conversation"], renames=yaml_value(suggestion))
    assert (read.references, read.rejects, read.suggestion) == (1, [], "")


@pytest.mark.parametrize(
    ("first", "lacks_header"),
    [
        ("Where is the station?,Left of the bank.", True),
        ("Left of the old bank in Main Street,x", True),
        ("1,Where", True),
        ("Question of the customer,Our reply", False),
    ],
)
def test_a_csv_file_without_a_header_is_named_as_one(tmp_path: Path, first: str, lacks_header: bool) -> None:
    (tmp_path / "rows.csv").write_text(f"{first}\nWho?,Me.\n")
    assert preview(tmp_path / "rows.csv", TASKS["conversation"]).lacks_header is lacks_header


@pytest.fixture
def yaml_value() -> Callable[[str], Any]:
    import yaml

    return yaml.safe_load


@pytest.mark.parametrize(("bound", "rows"), [(0.5, 35), (0.8, 138), (0.9, 311), (0.95, 657)])
def test_the_rows_needed_are_those_with_which_the_interval_is_above_the_gate(bound: float, rows: int) -> None:
    assert rows_needed(bound, 0.95) == rows
    accuracy = bound + (1 - bound) / 3
    for count, is_above in ((round(rows * 1.05), True), (round(rows * 0.9), False)):
        low = wilson(round(accuracy * count), count, 0.95).low
        assert (low > bound) == is_above


GATED = {"min_retention": None, "min_accuracy": 0.9}


@pytest.mark.parametrize(
    ("config", "rows", "message"),
    [
        ({"task": "qa"}, 40, "40 test rows can hardly decide it: about 310 would, if the student's accuracy is 0.933"),
        ({"gates": GATED}, 40, "about 310"),
        ({"gates": GATED, "confidence": 0.99}, 40, "about 540"),
        ({"gates": GATED}, 311, None),
        ({"task": "conversation"}, 40, None),
        ({"gates": {"bounds": [{"metric": "accuracy", "at_least": 0.8, "one_sided": True}]}}, 40, "about 97 "),
        ({"gates": {"metrics": {"accuracy": 1.0}}}, 40, None),
    ],
)
def test_too_few_test_rows_for_a_gate_are_warned_of(config: dict[str, Any], rows: int, message: str | None) -> None:
    problems = list(few_rows(EvaluateConfig.model_validate(config), rows))
    assert [message in problem.message for problem in problems if message] == ([] if message is None else [True])
