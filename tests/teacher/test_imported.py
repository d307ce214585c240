"""Completions from a file of the user instead of a teacher."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.results import Usage
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import Teacher, TeacherConfig
from azdistill.teacher.imported import load_completions

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


def test_invalid_lines_are_counted_and_the_first_is_named(
    prompts: Prompts, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    (one,) = prompts(1)
    file = write_lines(
        tmp_path / "a.jsonl", "", "{", {"messages": messages_of(one), "completion": "yes"}, {"completion": "x"}
    )
    assert len(load_completions([one], file, CONFIG).completions) == 1
    assert "a.jsonl:2: no completion; 2 such lines were skipped" in log.text


@pytest.mark.parametrize("rows", [[], ["{"], [{"messages": []}], [{"messages": "hello"}], ["[1]"]])
def test_a_file_without_a_completion_is_an_error(prompts: Prompts, tmp_path: Path, rows: list[Any]) -> None:
    with pytest.raises(DataError, match=r"a.jsonl: no line has a completion; each line needs messages and completion"):
        load_completions(prompts(1), write_lines(tmp_path / "a.jsonl", *rows), CONFIG)


def test_a_missing_file_is_an_error(prompts: Prompts, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        load_completions(prompts(1), tmp_path / "a.jsonl", CONFIG)


def test_the_route_without_a_file_is_an_error(step: Any, prompts: Prompts) -> None:
    step.write_prompts(prompts(1))
    code, out, err = step.run(CONFIG)
    assert (code, out) == (2, "")
    assert "teacher_route='completions' needs a file of completions" in err
