"""Warnings about valid jobs."""

import re
from datetime import date
from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import Problem, dotted
from azdistill.job.advice import advice
from azdistill.job.model import DistillationJob

BASE = {
    "task": "qa",
    "data": {"training_data": "rows.jsonl", "test_data": "test.jsonl"},
    "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]},
    "student": {"model": "phi-4-mini"},
}


# A VM size that is not known here, so that its memory is not compared with the student.
CLUSTER = {"gpu": "a-cluster"}
T4, A10 = "Standard_NC4as_T4_v3", "Standard_NV36ads_A10_v5"


def warned(**fields: object) -> list[str]:
    return [problem.text for problem in warnings(**fields)]


def warnings(**fields: object) -> list[Problem]:
    return advice(DistillationJob.model_validate(BASE | fields))


def codes(problems: list[Problem]) -> list[tuple[str, str, object]]:
    return [(problem.code, dotted(problem.field), problem.value) for problem in problems]


def teacher(model: str, **fields: object) -> dict[str, object]:
    return {"teachers": [{"model": model, "connection": "boss"}], **fields}


def test_a_job_that_follows_best_practice_has_no_warnings() -> None:
    assert warned() == []


@pytest.mark.parametrize(
    ("name", "value", "risk", "usual"),
    [
        ("learning_rate", 2e-4, "forget", "1e-5 to 5e-5"),
        ("learning_rate", 1e-6, "learn too little", "1e-5 to 5e-5"),
        ("num_epochs", 20, "forget", "2 to 5 for full fine-tuning"),
        ("num_epochs", 1, "learn too little", "2 to 5"),
        ("learning_rate", 2e-5, "learn too little", "0.0001 to 0.0005 for LoRA"),
        ("learning_rate", 2e-3, "forget", "0.0001 to 0.0005 for LoRA"),
    ],
)
def test_unusual_hyperparameters_of_a_pretrained_student(name: str, value: float, risk: str, usual: str) -> None:
    (problem,) = warnings(train={name: value} | ({"method": "lora"} if "LoRA" in usual else {}))
    assert codes([problem]) == [("unusual_hyperparameter", f"train.{name}", value)]
    assert risk in problem.message
    assert usual in problem.fix


def test_a_setting_that_the_method_does_not_use_has_no_effect() -> None:
    settings = {"lora_rank": 8, "use_dora": True}
    expected = [("no_effect", "train.lora_rank", 8), ("no_effect", "train.use_dora", True)]
    assert codes(warnings(train={"method": "full", **settings})) == expected
    assert warned(train={"method": "lora", **settings}) == []
    weights = {"float32_master_weights": False}
    expected = [("no_effect", "train.float32_master_weights", False)]
    assert codes(warnings(train={"method": "lora", **weights})) == expected
    assert warned(train=weights) == []


def test_sharding_needs_several_processes_and_an_optimizer_that_can_be_divided() -> None:
    assert codes(warnings(train={"sharding": "fsdp"})) == [("no_effect", "train.sharding", "fsdp")]
    several = {"gpu_instance_type": "Standard_ND96isr_H100_v5", "predict_instance_type": "Standard_NC24ads_A100_v4"}
    warned_of = codes(warnings(train={"sharding": "deepspeed"}, compute=several))
    assert warned_of == [
        ("missing_package", "train.sharding", "deepspeed"),
        ("several_processes", "train.batch_size", 8),
    ]
    for refused in ({"method": "qlora"}, {"optimizer": "adamw_8bit"}):
        with pytest.raises(SpecError) as error:
            DistillationJob.model_validate(BASE | {"train": {"sharding": "fsdp", **refused}})
        assert [problem.code for problem in error.value.problems] == ["incompatible_fields"]


@pytest.mark.parametrize(
    ("train", "field", "value"),
    [
        ({"method": "qlora"}, "train.method", "qlora"),
        ({"on_policy": {"teacher": "self"}}, "train.on_policy.teacher", "self"),
    ],
)
def test_adapters_and_self_distillation_of_random_weights_are_unusual(train: Any, field: str, value: str) -> None:
    student = {"model": "./tiny", "weights": "random"}
    assert codes(warnings(student=student, train=train)) == [("random_base", field, value)]


@pytest.mark.parametrize("model", ["phi-4-mini", "azureml:own-model:3"])
def test_random_weights_in_place_of_those_of_a_registered_model_are_unusual(model: str) -> None:
    (problem,) = warnings(student={"model": model, "weights": "random"})
    assert codes([problem]) == [("ignored_weights", "student.weights", "random")]
    assert problem.fix == "remove it to fine-tune the model"


def test_a_setting_needs_a_package_in_the_environment_of_train() -> None:
    (problem,) = warnings(train={"attn_implementation": "flash_attention_2"})
    assert codes([problem]) == [("missing_package", "train.attn_implementation", "flash_attention_2")]
    assert ("environments/gpu.in" in problem.fix, problem.command) == (True, "make lock")
    assert warned(train={"optimizer": "adamw_8bit"}) == []


@pytest.mark.parametrize(
    "training", [{"learning_rate": 1e-5, "num_epochs": 2}, {"learning_rate": 5e-5, "num_epochs": 5}, {"method": "lora"}]
)
def test_the_bounds_of_the_usual_range_are_usual(training: dict[str, object]) -> None:
    assert warned(train=training) == []


def test_a_student_with_random_weights_has_no_usual_hyperparameters() -> None:
    student = {"model": "./tiny", "weights": "random"}
    assert warned(student=student, train={"learning_rate": 2e-3, "num_epochs": 12}) == []


@pytest.mark.parametrize(
    ("model", "state", "successor"),
    [
        ("DeepSeek-R1", "was retired on 2026-08-13 (as of 2026-09-02)", "DeepSeek-V4-Pro"),
        ("gpt-4o", "is legacy and will be retired on 2027-04-14 (as of 2026-09-02)", "gpt-5.1"),
    ],
)
def test_a_teacher_that_azure_retires(model: str, state: str, successor: str) -> None:
    (problem,) = warnings(teacher=teacher(model), licences_acknowledged=["openai-terms"])
    assert codes([problem]) == [("retired_model", "teacher.teachers.0.model", model)]
    assert problem.message == f"{model} {state}"
    assert problem.fix == f"Azure recommends {successor}"


def test_the_date_decides_which_models_are_retired() -> None:
    job = DistillationJob.model_validate(BASE | {"teacher": teacher("claude-haiku-4-5")})
    then, now = (
        " ".join(problem.text for problem in advice(job, day)) for day in (date(2026, 10, 18), date(2026, 10, 19))
    )
    assert "retired" not in then
    assert "claude-haiku-4-5 was retired on 2026-10-19" in now


def test_a_retired_student_can_still_be_trained() -> None:
    (line,) = warned(student={"model": "phi-3.5-mini"})
    assert "Phi-3.5-mini-instruct was retired on 2025-08-30 (as of 2026-09-02)" in line
    assert line.endswith("; weights that you have can still be trained; Azure recommends Phi-4-mini-instruct")


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
    assert line.endswith(f"; if you comply, add {licence} to licences_acknowledged")
    assert warned(**fields, licences_acknowledged=[licence]) == []
    assert warned(**fields, licences_acknowledged=["mit"]) == [line]


def test_a_teacher_that_does_not_speak_chat_completions() -> None:
    problems = warnings(teacher=teacher("claude-opus-5"), licences_acknowledged=["anthropic-terms"])
    assert codes(problems) == [("unsupported_api", "teacher.teachers.0.model", "claude-opus-5")]


def test_more_tokens_than_a_model_holds() -> None:
    long_answers = teacher("gpt-oss-120b", max_tokens=131_072)
    long = {
        "train": {"max_length": 20_000},
        "student": {"model": "phi-4"},
        "teacher": long_answers,
        "compute": CLUSTER,
    }
    assert warned(**long) == [
        "train.max_length=20000: is longer than the context of Phi-4; set at most 16384 tokens",
    ]


def test_a_teacher_smaller_than_its_student() -> None:
    facts = {"teachers": {"house": {"parameters": 1.5}}}
    assert warned(teacher=teacher("house"), student={"model": "azureml:phi-4:1"}, catalog=facts) == []
    (problem,) = warnings(teacher=teacher("house"), student={"model": "./phi-4"}, catalog=facts, compute=CLUSTER)
    assert codes([problem]) == [("large_student", "student.model", "./phi-4")]
    assert problem.message == "has 14.7 billion parameters, and its teacher 1.5"


def test_every_teacher_is_checked() -> None:
    models = ["my-deployment", "gpt-4o", "claude-opus-5", "house"]
    teachers = {"teachers": [{"model": model, "connection": "boss"} for model in models], "max_tokens": 131_072}
    facts = {"teachers": {"house": {"parameters": 1.5, "context": 4096}}}
    problems = warnings(teacher=teachers, student={"model": "phi-4"}, catalog=facts)
    assert {
        ("retired_model", "teacher.teachers.1.model", "gpt-4o"),
        ("licence_duty", "teacher.teachers.1.model", "gpt-4o"),
        ("licence_duty", "teacher.teachers.2.model", "claude-opus-5"),
        ("unsupported_api", "teacher.teachers.2.model", "claude-opus-5"),
        ("exceeds_context", "teacher.max_tokens", 131_072),
        ("large_student", "student.model", "azureml://registries/azureml/models/Phi-4/versions/7"),
    } <= set(codes(problems))


def test_a_weight_that_no_policy_looks_at() -> None:
    teachers = [{"model": "my-deployment", "connection": "boss", "weight": 2}]
    assert warned(teacher={"teachers": teachers, "policy": "route"}) == []
    assert warned(teacher={"teachers": teachers, "policy": "all"}) == [
        "teacher.teachers.0.weight=2: has no effect with policy all; only policy route uses weights"
    ]


def test_no_test_rows_of_their_own() -> None:
    assert warned(data={"training_data": "rows.jsonl"}, prepare={"test_fraction": 0.25}) == [
        (
            "data.test_data: not set, so 25% of the training rows are held out for testing; rows that were collected "
            "separately are a stronger test"
        )
    ]


def test_paths_whose_content_may_change_under_the_job() -> None:
    path = "azureml://datastores/blob/paths/rows.jsonl"
    data = {"training_data": path, "test_data": "azureml:rows@latest"}
    assert codes(warnings(data=data)) == [
        ("mutable_path", "data.training_data", path),
        ("mutable_path", "data.test_data", "azureml:rows@latest"),
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
    job, problems = check(text)
    assert job is not None
    assert [line.partition("=")[0].partition(": not")[0] for line in problems] == [
        "1 no_test_data: test_data",
        "2 retired_model: teacher_model",
        "6 unusual_hyperparameter: hyperparameters.num_epochs",
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"temperature": 0.7}, [("ignored_parameter", "teacher.temperature", 0.7)]),
        ({"top_p": 0.9}, [("ignored_parameter", "teacher.top_p", 0.9)]),
        ({"temperature": 0.0}, [("ignored_parameter", "teacher.temperature", 0.0)]),
        ({}, []),
    ],
)
def test_sampling_parameters_of_a_reasoning_teacher_are_ignored(
    fields: dict[str, float], expected: list[tuple[str, str, object]]
) -> None:
    reasoning = {"model": "DeepSeek-V3.2", "connection": "deepseek", "reasoning": True}
    assert codes(warnings(teacher={"teachers": [reasoning], **fields})) == expected
    assert warnings(teacher={"teachers": [{**reasoning, "reasoning": False}], **fields}) == []


def test_turns_that_are_paid_for_and_not_trained() -> None:
    every = {"teacher": teacher("m", turns="all")}
    assert codes(warnings(**every)) == [("untrained_turns", "train.train_on", "last")]
    assert warnings(**every, train={"train_on": "all"}) == []


def test_a_model_name_with_a_dot_is_a_warning_and_the_default_has_none() -> None:
    (problem,) = warnings(outputs={"registered_model": "support.v2"})
    assert codes([problem]) == [("model_name", "outputs.registered_model", "support.v2")]
    assert "support-v2" in problem.fix
    assert warned(outputs={"registered_model": "support-v2"}) == []
    assert DistillationJob.model_validate(BASE | {"name": "support.v2"}).registered_model == "support-v2-distilled"


@pytest.mark.parametrize(
    ("student", "train", "compute", "field", "words"),
    [
        # Phi-4-mini has 3.84 billion weights, and a T4 computes them in float32.
        ("phi-4-mini", {}, {"predict_instance_type": T4}, "predict_instance_type", "17 GB .* in float32, .* has 16"),
        # QLoRA trains 14.7 billion weights in 4 bits, and predict loads them in 16.
        ("phi-4", {"method": "qlora", "batch_size": 1}, {"gpu_instance_type": A10}, "gpu_instance_type", "31 GB .* 24"),
    ],
)
def test_a_student_that_is_trained_and_does_not_fit_the_gpu_of_predict(
    student: str, train: dict[str, object], compute: dict[str, str], field: str, words: str
) -> None:
    """Else it is known when the teacher and the training are paid."""
    problems = warnings(student={"model": student}, train=train, compute=compute)
    (problem,) = (problem for problem in problems if problem.code == "exceeds_gpu_memory")
    assert dotted(problem.field) == f"compute.{field}"
    assert re.search(words, problem.message)
    assert re.search("set compute.predict_instance_type to Standard_N", problem.fix)


RESOURCE = "https://r.services.ai.azure.com/openai/v1"


@pytest.mark.parametrize(
    ("endpoint", "fields", "is_warned"),
    [
        (RESOURCE, {}, True),
        ("https://e.eastus2.models.ai.azure.com", {}, True),
        (RESOURCE, {"key_variable": "KEY"}, False),
        (RESOURCE, {"connection": "boss"}, False),
        (RESOURCE, {"entra_scope": "https://cognitiveservices.azure.com/.default"}, False),
        ("http://10.0.0.4:8000/v1", {}, False),
    ],
)
def test_an_endpoint_of_azure_needs_a_key_or_a_token(endpoint: str, fields: dict[str, str], is_warned: bool) -> None:
    model = {"model": "a-model", "endpoint": endpoint, **fields}
    judge = {"judge_model": model, "rubric": "It is right."}
    problems = warnings(teacher={"teachers": [model]}, judge=judge)
    fields_of = [dotted(problem.field) for problem in problems if problem.code == "no_authentication"]
    assert fields_of == (["teacher.teachers.0.endpoint", "judge.judge_model.endpoint"] if is_warned else [])
    imported = warnings(teacher={"teachers": [model], "completions": "a.jsonl"})
    assert "no_authentication" not in [problem.code for problem in imported]
