"""Completions from a file of the user instead of a teacher."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.requests import Teacher
from azdistill.contracts.results import Usage
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.imported import load_completions
from tests.data.shapes import BEDROCK_LOG, COLLECTED, COLLECTED_RESPONSE, STORED_COMPLETION, SYSTEM, A, Q, jsonl

CONFIG = TeacherConfig(teachers=(Teacher(model="gpt-4o"),), teacher_route="completions")
Prompts = Callable[..., list[Prompt]]


def messages_of(prompt: Prompt) -> list[dict[str, str]]:
    return [message.model_dump() for message in prompt.messages]


def write_lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_rows_are_matched_by_their_messages_in_both_forms(prompts: Prompts, tmp_path: Path) -> None:
    one, two, three = prompts(3)
    file = write_lines(
        tmp_path / "a.jsonl",
        {"messages": [*messages_of(two), {"role": "assistant", "content": "second"}], "id": 17},
        {
            "messages": messages_of(one),
            "completion": "first",
            "finish_reason": "length",
            "teacher": "claude",
            "more": 1,
        },
        {"messages": messages_of(one), "completion": "too late"},
    )
    imported = load_completions([one, two, three], file, CONFIG)
    assert [(row.id, row.completion, row.finish_reason, row.teacher) for row in imported.completions] == [
        (one.id, "first", "length", "claude"),
        (two.id, "second", "stop", "gpt-4o"),
    ]
    assert [(reject.source, reject.reason) for reject in imported.rejects] == [(three.source, "no_completion")]
    assert imported.completions[0].source == one.source
    assert imported.completions[0].key != imported.completions[1].key


def test_the_usage_has_no_calls(prompts: Prompts, tmp_path: Path) -> None:
    (one,) = prompts(1)
    usage = load_completions(
        [one], write_lines(tmp_path / "a.jsonl", {"messages": messages_of(one), "completion": "yes"}), CONFIG
    ).usage
    assert (usage["route"], usage["asked"], usage["calls"], usage["answered"]) == ("completions", 0, 0, 1)
    Usage.model_validate(usage)


def test_our_own_completions_can_be_imported(prompts: Prompts, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"columns": {"topic": "parcels"}}) for row in prompts(4)]
    file = write_lines(tmp_path / "a.jsonl", *({"messages": messages_of(row), "completion": "yes"} for row in rows))
    first = load_completions(rows, file, CONFIG).completions
    again = write_lines(tmp_path / "b.jsonl", *(row.model_dump_json() for row in first))
    assert load_completions(rows, again, CONFIG).completions == first


def asked(*turns: tuple[str, str]) -> Prompt:
    messages = tuple(Message.model_validate({"role": role, "content": content}) for role, content in turns)
    return Prompt(id=prompt_id(messages), split="train", messages=messages, source="rows.jsonl:1")


BEDROCK_CUT = {
    **BEDROCK_LOG,
    "input": {**BEDROCK_LOG["input"], "inputTokenCount": 7},
    "output": {
        "outputBodyJson": {**BEDROCK_LOG["output"]["outputBodyJson"], "stopReason": "max_tokens"},
        "outputTokenCount": 2,
    },
}


@pytest.mark.parametrize(
    ("rows", "prompt", "reason", "tokens"),
    [
        ([STORED_COMPLETION], asked(("user", Q)), "stop", (12, 3)),
        ([BEDROCK_CUT], asked(*SYSTEM), "length", (7, 2)),
        ([COLLECTED, COLLECTED_RESPONSE], asked(("user", Q)), "stop", (12, 3)),
        ([COLLECTED_RESPONSE, COLLECTED], asked(("user", Q)), "stop", (12, 3)),
        ([{"prompt": Q, "completion": A}], asked(("user", Q)), "stop", (0, 0)),
        (
            [{"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}],
            asked(("user", Q)),
            "stop",
            (0, 0),
        ),
    ],
    ids=["stored completion", "Bedrock", "data collector", "response first", "pair", "ShareGPT"],
)
def test_answers_in_logs_are_bought_answers_of_the_named_teacher(
    tmp_path: Path, rows: list[Any], prompt: Prompt, reason: str, tokens: tuple[int, int]
) -> None:
    folder = tmp_path / "2026" / "11"
    folder.mkdir(parents=True)
    for number, row in enumerate(rows):
        (folder / f"{number}.json.gz").write_bytes(gzip.compress(jsonl(row)))
    (row,) = load_completions([prompt], tmp_path, CONFIG).completions
    assert (row.completion, row.finish_reason, row.teacher) == (A, reason, "gpt-4o")
    assert (row.usage.prompt_tokens, row.usage.completion_tokens) == tokens


def test_the_models_of_a_log_are_named(tmp_path: Path, log: pytest.LogCaptureFixture) -> None:
    write_lines(
        tmp_path / "a.jsonl", STORED_COMPLETION, {**COLLECTED_RESPONSE, "correlationid": "other"}, {"type": "x"}
    )
    load_completions([asked(("user", Q))], tmp_path / "a.jsonl", CONFIG)
    assert "answers by model in the log: gpt-4.1-2025-04-14 1; they are imported as those of teacher gpt-4o" in log.text
    assert "a.jsonl:3: no completion; 1 such rows were skipped" in log.text


def test_an_empty_answer_of_our_own_is_kept_for_curate(tmp_path: Path) -> None:
    prompt = asked(("user", Q))
    file = write_lines(tmp_path / "a.jsonl", {"messages": messages_of(prompt), "completion": "", "gold": A})
    assert [row.completion for row in load_completions([prompt], file, CONFIG).completions] == [""]


def test_invalid_lines_are_counted_and_the_first_is_named(
    prompts: Prompts, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    (one,) = prompts(1)
    file = write_lines(
        tmp_path / "a.jsonl", "", "{", {"messages": messages_of(one), "completion": "yes"}, {"completion": "x"}
    )
    assert len(load_completions([one], file, CONFIG).completions) == 1
    assert "a.jsonl:2: no completion; 2 such rows were skipped" in log.text


@pytest.mark.parametrize("rows", [[], ["{"], [{"messages": []}], [{"messages": "hello"}], ["[1]"]])
def test_a_file_without_a_completion_is_an_error(prompts: Prompts, tmp_path: Path, rows: list[Any]) -> None:
    with pytest.raises(
        DataError, match=r"a.jsonl: .*(no row has a completion; each row needs messages and completion|has no rows)"
    ):
        load_completions(prompts(1), write_lines(tmp_path / "a.jsonl", *rows), CONFIG)


def test_a_missing_file_is_an_error(prompts: Prompts, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_completions(prompts(1), tmp_path / "a.jsonl", CONFIG)


def test_the_route_without_a_file_is_an_error(step: Any, prompts: Prompts) -> None:
    step.write_prompts(prompts(1))
    code, out, err = step.run(CONFIG)
    assert (code, out) == (2, "")
    assert "teacher_route='completions' needs a file of completions" in err
