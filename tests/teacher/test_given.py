"""Answers that are there already, in place of a teacher."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.results import Usage
from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import Teacher, TeacherConfig
from azdistill.teacher.given import take

CONFIG = TeacherConfig(teachers=(Teacher(model="gpt-4o"),), teacher_route="completions")
Prompts = Callable[..., list[Prompt]]


def asked(prompt: Prompt) -> list[dict[str, str]]:
    return [message.model_dump() for message in prompt.messages]


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_rows_are_matched_by_conversation_in_either_form(prompts: Prompts, tmp_path: Path) -> None:
    one, two, three = prompts(3)
    file = written(
        tmp_path / "a.jsonl",
        {"messages": [*asked(two), {"role": "assistant", "content": "second"}], "id": 17},
        {"messages": asked(one), "completion": "first", "finish_reason": "length", "teacher": "claude", "more": 1},
        {"messages": asked(one), "completion": "too late"},
    )
    found = take([one, two, three], file, CONFIG)
    assert [(row.id, row.completion, row.finish_reason, row.teacher) for row in found.completions] == [
        (one.id, "first", "length", "claude"),
        (two.id, "second", "stop", "gpt-4o"),
    ]
    assert [(reject.source, reject.reason) for reject in found.rejects] == [(three.source, "no_completion")]
    assert found.completions[0].source == one.source
    assert found.completions[0].key != found.completions[1].key


def test_the_usage_is_that_of_nobody_asked(prompts: Prompts, tmp_path: Path) -> None:
    (one,) = prompts(1)
    usage = take([one], written(tmp_path / "a.jsonl", {"messages": asked(one), "completion": "yes"}), CONFIG).usage
    assert (usage["route"], usage["asked"], usage["calls"], usage["answered"]) == ("completions", 0, 0, 1)
    Usage.model_validate(usage)


def test_our_own_completions_are_answers(prompts: Prompts, tmp_path: Path) -> None:
    rows = prompts(4)
    given = written(tmp_path / "a.jsonl", *({"messages": asked(row), "completion": "yes"} for row in rows))
    first = take(rows, given, CONFIG).completions
    again = written(tmp_path / "b.jsonl", *(row.model_dump_json() for row in first))
    assert take(rows, again, CONFIG).completions == first


def test_lines_that_are_no_answer_are_counted_with_the_first_of_them(
    prompts: Prompts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (one,) = prompts(1)
    file = written(tmp_path / "a.jsonl", "", "{", {"messages": asked(one), "completion": "yes"}, {"completion": "x"})
    assert len(take([one], file, CONFIG).completions) == 1
    assert "passed over: 2 lines that are none, from line 2 on" in capsys.readouterr().out


@pytest.mark.parametrize("rows", [[], ["{"], [{"messages": []}], [{"messages": "hello"}], ["[1]"]])
def test_a_file_without_an_answer_is_wrong_input(prompts: Prompts, tmp_path: Path, rows: list[Any]) -> None:
    with pytest.raises(DataError, match="no line is an answer; give lines with messages and completion"):
        take(prompts(1), written(tmp_path / "a.jsonl", *rows), CONFIG)


def test_a_file_that_is_not_there_is_wrong_input(prompts: Prompts, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        take(prompts(1), tmp_path / "a.jsonl", CONFIG)


def test_the_route_without_answers_is_wrong_input(step: Any, prompts: Prompts) -> None:
    step.write_prompts(prompts(1))
    code, out, err = step.run(CONFIG)
    assert (code, out) == (2, "")
    assert "teacher_route='completions': no answers are given" in err
