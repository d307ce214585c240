"""fine_tune_student: answers to a student that can be asked, saved and loaded."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill import fine_tune_student, generate_teacher_responses
from azdistill.api.fine_tune import learnable
from azdistill.api.generate import TeacherResponses
from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.manifest import read_manifest
from tests.api.conftest import asked

QUICK = {"weights": "random", "learning_rate": 2e-3, "num_epochs": 1, "max_length": 128}


def answered(*numbers: int, answer: str = "What is the item?") -> list[dict[str, Any]]:
    turn = {"role": "assistant", "content": answer}
    return [{"messages": [*row["messages"], turn]} for row in asked(*numbers)]


def test_both_stages_give_a_student_that_answers_and_can_be_saved(
    teacher: dict[str, Any], student: Path, tmp_path: Path
) -> None:
    training = generate_teacher_responses(teacher, asked(*range(16)))
    validation = generate_teacher_responses(teacher, asked(20, 21))
    found = fine_tune_student(student, training, validation, hyperparameters=QUICK)
    assert (found.figures.train_rows, found.figures.validation_rows, found.drops) == (16, 2, [])
    assert found.figures.validation_loss is not None
    assert isinstance(found.reply("Hi", max_new_tokens=4), str)
    assert isinstance(found.reply([{"role": "user", "content": "Hi"}], max_new_tokens=4), str)
    assert found.save(tmp_path / "distilled") == tmp_path / "distilled"
    assert "model.safetensors" in read_manifest(tmp_path / "distilled").files


def test_chat_rows_that_end_with_an_answer_are_learned_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answered(1, 2)))
    from_file, from_list = learnable(path, "conversation"), learnable(answered(1, 2), "conversation")
    assert from_file == from_list
    assert [row.messages[-1].content for row in from_list[0]] == ["What is the item?"] * 2


def test_the_completions_of_a_run_are_learned_and_not_the_references(teacher: dict[str, Any], tmp_path: Path) -> None:
    (row,) = generate_teacher_responses(teacher, [{**asked(1)[0], "gold": "the reference"}]).completions
    (tmp_path / "completions.jsonl").write_text(row.model_dump_json() + "\n")
    for data in ([row], tmp_path / "completions.jsonl", TeacherResponses([row], [], {})):
        ((learned,), _) = learnable(data, "conversation")
        assert learned.messages[-1].content == row.completion != "the reference"


def test_an_answer_that_was_cut_off_is_never_learned(teacher: dict[str, Any]) -> None:
    rows = generate_teacher_responses(teacher, asked(1, 2)).completions
    cut = rows[1].model_copy(update={"finish_reason": "length"})
    kept, drops = learnable([rows[0], cut], "conversation")
    assert [row.id for row in kept] == [rows[0].id]
    assert [(drop.source, drop.reason) for drop in drops] == [("row 2", "length")]


WRONG = [
    (asked(1), {}, DataError, "row 1: no answer to learn"),
    ([], {}, DataError, "no row can be used"),
    (answered(1), {"hyperparameters": {"learning_rate": 7}}, InputError, "hyperparameters: learning_rate=7"),
    (answered(1), {"hyperparameters": {"lr": 1e-5}}, InputError, "hyperparameters: lr: unknown field"),
    (answered(1), {"task": "chat"}, InputError, "task='chat': expected"),
]


@pytest.mark.parametrize(("rows", "options", "error", "said"), WRONG)
def test_what_cannot_be_learned_from_is_one_sentence(
    student: Path, rows: list[Any], options: dict[str, Any], error: type[InputError], said: str
) -> None:
    with pytest.raises(error, match=said):
        fine_tune_student(student, rows, **options)


def test_a_folder_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"student '.*nothing'"):
        fine_tune_student(tmp_path / "nothing", answered(1))
