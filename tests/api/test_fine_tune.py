"""fine_tune_student: from answers to a student that chats and can be saved."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill import fine_tune_student, generate_teacher_responses
from azdistill.api.fine_tune import DistilledStudent, read_training_rows
from azdistill.api.generate import TeacherResponses
from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.manifest import read_manifest
from tests.api.conftest import question_rows
from tests.students import tiny

QUICK = {"weights": "random", "learning_rate": 2e-3, "num_epochs": 1, "max_length": 128}


def answered_rows(*numbers: int, answer: str = "What is the item?") -> list[dict[str, Any]]:
    turn = {"role": "assistant", "content": answer}
    return [{"messages": [*row["messages"], turn]} for row in question_rows(*numbers)]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_teacher_and_training_give_a_student_that_chats_and_can_be_saved(
    teacher: dict[str, Any], student: Path, tmp_path: Path, method: str
) -> None:
    training = generate_teacher_responses(teacher, question_rows(*range(16)))
    validation = generate_teacher_responses(teacher, question_rows(20, 21))
    distilled = fine_tune_student(student, training, validation, hyperparameters={**QUICK, "method": method})
    assert (distilled.metrics.train_rows, distilled.metrics.validation_rows, distilled.drops) == (16, 2, [])
    assert distilled.metrics.validation_loss is not None
    assert isinstance(distilled.reply("Hi", max_new_tokens=4), str)
    assert isinstance(distilled.reply([{"role": "user", "content": "Hi"}], max_new_tokens=4), str)
    assert distilled.save(tmp_path / "distilled") == tmp_path / "distilled"
    files = read_manifest(tmp_path / "distilled").files
    assert "model.safetensors" in files
    assert ("adapter/adapter_model.safetensors" in files) is (method == "lora")


def test_a_student_learns_from_white_box_teachers_and_from_itself(tmp_path: Path) -> None:
    """The teachers are a part of the training: its checkpoints are not resumed with others."""
    student, *teachers = [tiny.write(tmp_path / name, "llama", seed=n) for n, name in enumerate(("student", "a", "b"))]
    rows, losses = answered_rows(*range(8)), {"text": 0.5, "logits": 0.5}
    on_policy = {"teacher": "self", "share": 1, "start_fraction": 0.5, "max_new_tokens": 8}
    settings = {
        "num_epochs": 2,
        "max_length": 128,
        "losses": losses,
        "on_policy": on_policy,
        "white_box_weights": "1,0.5",
    }

    def distilled(*white_box: Path | str) -> DistilledStudent:
        return fine_tune_student(
            student, rows, hyperparameters=settings, white_box=white_box, checkpoints=tmp_path / "out", progress=False
        )

    first = distilled(teachers[0], str(teachers[1]))
    assert set(first.metrics.loss_terms) >= {"on_policy"}
    assert {name for point in first.history for name in point.get("terms", {})} == {"text", "logits", "on_policy"}
    assert distilled(*teachers).metrics.resumed_from_step == first.metrics.steps
    with pytest.raises(InputError, match="belongs to a training with another student"):
        distilled(*reversed(teachers))
    with pytest.raises(InputError, match="needs a white-box teacher"):
        distilled()


def test_progress_is_shown_unless_it_is_turned_off(student: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fine_tune_student(student, answered_rows(1, 2), hyperparameters=QUICK, progress=False)
    assert capfd.readouterr() == ("", "")
    fine_tune_student(student, answered_rows(1, 2), hyperparameters=QUICK)
    shown = capfd.readouterr()
    assert shown.out.startswith("train: 2 rows, ")
    assert shown.err == ""


def test_checkpoints_of_other_programs_are_left_alone(student: Path, tmp_path: Path) -> None:
    (tmp_path / "out/checkpoint-500").mkdir(parents=True)
    (tmp_path / "out/checkpoint-500/model.safetensors").write_text("of another program")
    (tmp_path / "out/checkpoint-500-merged").mkdir()
    (tmp_path / "out/checkpoint-notes.txt").write_text("lr 1e-4 was best")
    fine_tune_student(student, answered_rows(1, 2), hyperparameters=QUICK, checkpoints=tmp_path / "out")
    foreign = {"checkpoint-500", "checkpoint-500-merged", "checkpoint-notes.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == foreign | {"checkpoint-1"}
    assert (tmp_path / "out/checkpoint-500/model.safetensors").read_text() == "of another program"


def test_saving_does_not_change_the_student(student: Path, tmp_path: Path) -> None:
    distilled = fine_tune_student(
        student, answered_rows(1, 2), hyperparameters={**QUICK, "precision": "bfloat16"}, progress=False
    )
    distilled.save(tmp_path / "distilled")
    assert {str(weight.dtype) for weight in distilled.student.model.parameters()} == {"torch.float32"}


def test_chat_rows_that_end_with_an_answer_are_used_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in answered_rows(1, 2)))
    from_list = read_training_rows(answered_rows(1, 2), "conversation")
    assert read_training_rows(path, "conversation") == from_list
    assert [row.messages[-1].content for row in from_list[0]] == ["What is the item?"] * 2


def test_the_target_is_the_teachers_completion_and_not_the_reference(teacher: dict[str, Any], tmp_path: Path) -> None:
    row = {**question_rows(1)[0], "gold": "the reference"}
    (completion,) = generate_teacher_responses(teacher, [row]).completions
    (tmp_path / "completions.jsonl").write_text(completion.model_dump_json() + "\n")
    for data in ([completion], tmp_path / "completions.jsonl", TeacherResponses([completion], [], {})):
        ((train_row,), _) = read_training_rows(data, "conversation")
        assert train_row.messages[-1].content == completion.completion != "the reference"


def test_a_list_of_answers_and_other_rows_is_refused(teacher: dict[str, Any]) -> None:
    completions = generate_teacher_responses(teacher, question_rows(1)).completions
    with pytest.raises(DataError, match="row 1: the row is Completion, not a JSON object"):
        read_training_rows([*completions, *answered_rows(2)], "conversation")


def test_a_truncated_answer_is_dropped(teacher: dict[str, Any]) -> None:
    completions = generate_teacher_responses(teacher, question_rows(1, 2)).completions
    truncated = completions[1].model_copy(update={"finish_reason": "length"})
    rows, drops = read_training_rows([completions[0], truncated], "conversation")
    assert [row.id for row in rows] == [completions[0].id]
    assert [(drop.source, drop.reason) for drop in drops] == [("row 2", "length")]


UNUSABLE = [
    (question_rows(1), {}, DataError, "row 1: the row has no answer"),
    ([], {}, DataError, "no row can be used"),
    (["text"], {}, DataError, "row 1: the row is text, not a JSON object"),
    (answered_rows(1), {"hyperparameters": {"learning_rate": 7}}, InputError, "hyperparameters.learning_rate=7: "),
    (answered_rows(1), {"hyperparameters": {"lr": 1e-5}}, InputError, "hyperparameters.lr: unknown field"),
    (answered_rows(1), {"task": "chat"}, InputError, "^task='chat': "),
]


@pytest.mark.parametrize(("rows", "arguments", "error", "message"), UNUSABLE)
def test_unusable_rows_and_settings_are_named(
    student: Path, rows: list[Any], arguments: dict[str, Any], error: type[InputError], message: str
) -> None:
    with pytest.raises(error, match=message):
        fine_tune_student(student, rows, **arguments)


def test_a_missing_student_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"student '.*nothing'"):
        fine_tune_student(tmp_path / "nothing", answered_rows(1))
