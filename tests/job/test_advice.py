"""What runs, and is yet worth a second look."""

from datetime import date

import pytest

from azdistill.job.advice import advice
from azdistill.job.model import DistillationJob

BASE = {
    "task": "qa",
    "data": {"training_data": "rows.jsonl", "test_data": "test.jsonl"},
    "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]},
    "student": {"model": "phi-4-mini"},
}


def warned(**fields: object) -> list[str]:
    return [sentence for _, sentence in advice(DistillationJob.model_validate(BASE | fields))]


def teacher(model: str, **fields: object) -> dict[str, object]:
    return {"teachers": [{"model": model, "connection": "boss"}], **fields}


def test_a_job_of_best_practice_is_met_with_silence() -> None:
    assert warned() == []


@pytest.mark.parametrize(
    ("training", "line"),
    [
        (
            {"learning_rate": 2e-4},
            (
                "train.learning_rate=0.0002: full fine-tuning of a pretrained student takes 1e-5 to 5e-5 as a rule; "
                "above, so much that it knew is lost"
            ),
        ),
        (
            {"learning_rate": 1e-6},
            (
                "train.learning_rate=1e-06: full fine-tuning of a pretrained student takes 1e-5 to 5e-5 as a rule; "
                "below, so little is learned"
            ),
        ),
        (
            {"num_epochs": 20},
            (
                "train.num_epochs=20.0: full fine-tuning of a pretrained student takes 2 to 5 as a rule; "
                "above, so much that it knew is lost"
            ),
        ),
        (
            {"num_epochs": 1},
            (
                "train.num_epochs=1.0: full fine-tuning of a pretrained student takes 2 to 5 as a rule; "
                "below, so little is learned"
            ),
        ),
    ],
)
def test_unusual_training_of_a_pretrained_student(training: dict[str, float], line: str) -> None:
    assert warned(train=training) == [line]


@pytest.mark.parametrize(
    "training", [{"learning_rate": 1e-5, "num_epochs": 2}, {"learning_rate": 5e-5, "num_epochs": 5}]
)
def test_the_ends_of_what_is_usual_are_usual(training: dict[str, float]) -> None:
    assert warned(train=training) == []


def test_a_student_from_random_weights_may_learn_as_fast_as_it_likes() -> None:
    student = {"model": "./tiny", "weights": "random"}
    assert warned(student=student, train={"learning_rate": 2e-3, "num_epochs": 12}) == []


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (
            "DeepSeek-R1",
            (
                "teacher.teachers.0.model='DeepSeek-R1': DeepSeek-R1 was retired on 2026-08-13 (as of 2026-09-02); "
                "Azure names DeepSeek-V4-Pro in its place"
            ),
        ),
        (
            "gpt-4o",
            (
                "teacher.teachers.0.model='gpt-4o': gpt-4o is legacy, to be retired on 2027-04-14 (as of 2026-09-02); "
                "Azure names gpt-5.1 in its place"
            ),
        ),
    ],
)
def test_a_teacher_that_azure_retires(model: str, line: str) -> None:
    assert warned(teacher=teacher(model), licences_acknowledged=["openai-terms"]) == [line]


def test_a_day_after_the_catalog_s_own_tells_more() -> None:
    job = DistillationJob.model_validate(BASE | {"teacher": teacher("claude-haiku-4-5")})
    then, now = (" ".join(text for _, text in advice(job, day)) for day in (date(2026, 10, 18), date(2026, 10, 19)))
    assert "retired" not in then
    assert "claude-haiku-4-5 was retired on 2026-10-19" in now


def test_a_retired_student_can_still_be_trained() -> None:
    (line,) = warned(student={"model": "phi-3.5-mini"})
    assert "Phi-3.5-mini-instruct was retired on 2025-08-30 (as of 2026-09-02)" in line
    assert line.endswith("Phi-4-mini-instruct in its place; weights that you have can still be trained")


@pytest.mark.parametrize(
    ("fields", "licence", "duty"),
    [
        ({"teacher": teacher("Llama-3.3-70B-Instruct")}, "llama3.3", "begin its name with Llama"),
        ({"teacher": teacher("gpt-5.1")}, "openai-terms", "forbid training models that compete with OpenAI"),
        ({"student": {"model": "llama-3.2-3b"}}, "llama3.2", "begin its name with Llama"),
        ({"student": {"model": "./gemma-3-1b-it"}}, "gemma", "terms of use"),
        ({"student": {"model": "./Qwen2.5-3B-Instruct"}}, "qwen-research", "no commercial use"),
    ],
)
def test_a_duty_of_a_licence_is_named_until_it_is_acknowledged(
    fields: dict[str, object], licence: str, duty: str
) -> None:
    (line,) = warned(**fields)
    assert f"licence {licence}: " in line
    assert duty in line
    assert line.endswith(f"; if you keep to it, add {licence} to licences_acknowledged")
    assert warned(**fields, licences_acknowledged=[licence]) == []
    assert warned(**fields, licences_acknowledged=["mit"]) == [line]


def test_a_teacher_that_does_not_speak_chat_completions() -> None:
    assert warned(teacher=teacher("claude-opus-5"), licences_acknowledged=["anthropic-terms"]) == [
        (
            "teacher.teachers.0.model='claude-opus-5': served by the Messages API, where azdistill asks for chat "
            "completions; put a gateway between the two"
        )
    ]


def test_more_tokens_than_a_model_holds() -> None:
    asked = teacher("gpt-oss-120b", max_tokens=131_072)
    long = {"train": {"max_length": 20_000}, "student": {"model": "phi-4"}, "teacher": asked}
    assert warned(**long) == [
        "train.max_length=20000: more than the 16384 tokens of Phi-4; give at most those",
    ]


def test_a_teacher_smaller_than_its_student() -> None:
    facts = {"teachers": {"house": {"parameters": 1.5}}}
    assert warned(teacher=teacher("house"), student={"model": "azureml:phi-4:1"}, catalog=facts) == []
    (line,) = warned(teacher=teacher("house"), student={"model": "./phi-4"}, catalog=facts)
    assert line == (
        "student.model='./phi-4': 14.7 billion parameters, and its teacher has 1.5; choose a student smaller than that"
    )


def test_every_teacher_is_looked_at() -> None:
    models = ["my-deployment", "gpt-4o", "claude-opus-5", "house"]
    asked = {"teachers": [{"model": model, "connection": "boss"} for model in models], "max_tokens": 131_072}
    facts = {"teachers": {"house": {"parameters": 1.5, "context": 4096}}}
    found = warned(teacher=asked, student={"model": "phi-4"}, catalog=facts)
    starts = [line.partition(", ")[0].partition(";")[0] for line in found]
    assert "teacher.teachers.1.model='gpt-4o': gpt-4o is legacy" in starts
    assert any(line.startswith("teacher.teachers.1.model='gpt-4o': licence openai-terms") for line in found)
    assert any(line.startswith("teacher.teachers.2.model='claude-opus-5': licence anthropic-terms") for line in found)
    assert "teacher.teachers.2.model='claude-opus-5': served by the Messages API" in starts
    assert "teacher.max_tokens=131072: more than the 4096 tokens of house" in starts
    assert any("14.7 billion parameters, and a teacher has 1.5; choose" in line for line in found)


def test_a_weight_that_no_policy_looks_at() -> None:
    teachers = [{"model": "my-deployment", "connection": "boss", "weight": 2}]
    assert warned(teacher={"teachers": teachers, "policy": "route"}) == []
    assert warned(teacher={"teachers": teachers, "policy": "all"}) == [
        "teacher.teachers.0.weight=2.0: without effect with policy all; only route shares the prompts out"
    ]


def test_no_test_rows_of_their_own() -> None:
    assert warned(data={"training_data": "rows.jsonl"}, prepare={"test_fraction": 0.25}) == [
        (
            "data.test_data: not given, so 25% of the training rows are held out to test on; rows that were gathered "
            "apart prove more"
        )
    ]


def test_paths_whose_content_may_change_under_the_job() -> None:
    path = "azureml://datastores/blob/paths/rows.jsonl"
    data = {"training_data": path, "test_data": "azureml:rows@latest"}
    assert warned(data=data) == [
        (
            f"data.training_data='{path}': Azure ML reuses results while this text stays, whatever lies there; "
            "name a data asset with a version"
        ),
        "data.test_data='azureml:rows@latest': latest moves under a job that doesn't change; name a version",
    ]
    assert warned(data={"training_data": "azureml:rows:3", "test_data": "azureml:held-out:1"}) == []


def test_nothing_is_said_of_models_that_nobody_knows() -> None:
    assert warned(teacher=teacher("my-deployment"), student={"model": "./house"}) == []


def test_warnings_of_a_file_have_their_lines_and_its_names(check) -> None:
    text = """\
task_type: qa
teacher_model: deepseek-v3-0324
student_model: ./student
training_data: rows.jsonl
hyperparameters:
  num_epochs: 9
"""
    job, found = check(text)
    assert job is not None
    assert [line.partition("=")[0].partition(": not")[0] for line in found] == [
        "1: warning: test_data",
        "2: warning: teacher_model",
        "6: warning: hyperparameters.num_epochs",
    ]
