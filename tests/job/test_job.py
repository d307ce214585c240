"""Accepted and rejected job files."""

import pytest
from pydantic import ValidationError

from azdistill.contracts.errors import SpecError
from azdistill.contracts.step import StepConfig
from azdistill.contracts.train import TrainConfig
from azdistill.job.components import STEPS
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan, step_configs
from azdistill.job.sections import StudentSection

TEACHER = {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]}


def job(**fields: object) -> DistillationJob:
    base = {
        "task": "conversation",
        "data": {"training_data": "train.jsonl"},
        "teacher": TEACHER,
        "student": {"model": "./student"},
    }
    return DistillationJob.model_validate(base | fields)


def tutorial(**changes: object) -> DistillationJob:
    return DistillationJob(
        **{
            "teacher_model": "deepseek-v3",
            "student_model": "phi-4-mini",
            "training_data": "./training_data.jsonl",
            "validation_data": "./validation_data.jsonl",
            "task_type": "conversation",
            "hyperparameters": {"learning_rate": 2e-5, "batch_size": 2, "num_epochs": 3, "temperature": 0.7},
            **changes,
        }
    )


def test_the_short_form_of_the_tutorials_fills_the_sections() -> None:
    parsed = tutorial()
    assert parsed.task == "conversation"
    assert (parsed.train.learning_rate, parsed.train.batch_size, parsed.train.num_epochs) == (2e-5, 2, 3)
    assert parsed.teacher.temperature == 0.7
    assert parsed.data.validation_data == "./validation_data.jsonl"
    assert parsed.student.model == "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1"
    assert parsed.teacher.teachers[0].model == "DeepSeek-V3.2"


def test_missing_fields_of_the_short_form_are_no_sections() -> None:
    with pytest.raises(SpecError) as caught:
        DistillationJob(task_type="qa")
    fields = {problem.field[0]: (problem.message, problem.fix) for problem in caught.value.problems}
    assert fields["teacher_model"] == (
        "required field is missing",
        "add `teacher_model:` (name of the model or deployment at the endpoint)",
    )
    assert fields["training_data"][1].startswith("add `training_data:` (training rows: a file in JSONL, ")
    assert fields["student_model"][1].startswith("add `student_model:` (a folder, an azureml: address, or a model ")


def test_short_and_full_form_may_not_contradict() -> None:
    with pytest.raises(SpecError, match=r"^training_data: data\.training_data sets the same field; keep one of them$"):
        tutorial(data={"training_data": "other.jsonl"})


def test_a_job_is_frozen_and_forbids_what_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        job().seed = 3  # type: ignore[misc]
    with pytest.raises(SpecError, match=r"^studnet: unknown field; did you mean student\?$"):
        job(studnet="phi-4-mini")


def test_the_config_of_every_step_has_the_shared_fields_of_the_job() -> None:
    shared = {"seed": 7, "task": "math", "weights": "random"}
    configs = step_configs(job(seed=7, task="math", student={"model": "./s", "weights": "random"}))
    for config in configs.values():
        assert all(getattr(config, name) == value for name, value in shared.items() if hasattr(config, name))
    assert set(configs) == set(STEPS) - {"augment", "judge", "judge_answers", "regression"}


def test_a_copy_of_a_job_compiles_with_its_own_shared_fields() -> None:
    """Shared fields are merged when a job is planned, so a copy needs no validation to be complete."""
    copy = job().model_copy(update={"seed": 9, "student": StudentSection(model="./s", weights="random")})
    assert copy.seed == 9
    planned = plan(copy)
    assert (planned.scalars["seed"], planned.scalars["weights"]) == (9, "random")
    assert planned.nodes == plan(job(seed=9, student={"model": "./s", "weights": "random"})).nodes


@pytest.mark.parametrize(
    ("train", "method", "learning_rate"),
    [
        ({}, "full", 2e-5),
        ({"method": "lora"}, "lora", 2e-4),
        ({"method": "qlora"}, "qlora", 2e-4),
        ({"method": "lora", "learning_rate": 3e-5}, "lora", 3e-5),
    ],
)
def test_the_plan_has_the_learning_rate_of_the_method(
    train: dict[str, object], method: str, learning_rate: float
) -> None:
    planned = plan(job(train=train))
    assert (planned.scalars["method"], planned.scalars["learning_rate"]) == (method, learning_rate)


def test_a_section_can_not_say_otherwise_about_what_is_shared() -> None:
    with pytest.raises(SpecError, match=r"^train\.seed=2: all steps share this field; set seed instead$"):
        job(seed=1, train={"seed": 2})
    with pytest.raises(
        SpecError, match=r"train\.weights='random': all steps share this field; set student\.weights instead"
    ):
        job(train={"weights": "random"}, data={"training_data": "r"}, prepare={"task": "conversation"})
    assert job(seed=1, train={"seed": 1}).train.seed == 1


def test_sections_made_in_python_are_read_like_those_of_a_file() -> None:
    parsed = job(student=StudentSection(model="phi-4-mini"), train=TrainConfig(num_epochs=2))
    assert parsed.student.model.endswith("Phi-4-mini-instruct/versions/1")
    assert parsed.train.model_fields_set == {"num_epochs"}
    with pytest.raises(SpecError, match=r"train\.seed=3: all steps share this field"):
        job(train=TrainConfig(seed=3))
    short = tutorial(train=TrainConfig(max_length=512))
    assert (short.train.max_length, short.train.num_epochs) == (512, 3)


@pytest.mark.parametrize(
    ("student", "name"),
    [
        ("azureml://registries/azureml/models/Phi-4/versions/7", "Phi-4"),
        ("./models/house.v2/", "house-v2"),
        ("_", "distillation"),
        ("mod\u00e8le", "mod-le"),
        ("x" * 200, "x" * 101),
    ],
)
def test_a_tutorial_s_job_is_called_after_its_student(student: str, name: str) -> None:
    assert tutorial(student_model=student).name == name


def test_a_teacher_without_a_way_to_reach_it_is_refused() -> None:
    with pytest.raises(SpecError, match="neither endpoint nor connection"):
        job(teacher={"teachers": [{"model": "DeepSeek-V3.2"}]})


def test_the_repr_of_a_job_holds_names_of_keys_only() -> None:
    teacher = {"model": "m", "endpoint": "http://127.0.0.1:1", "key_variable": "TEACHER_KEY"}
    assert "TEACHER_KEY" in repr(job(teacher={"teachers": [teacher]}))
    with pytest.raises(SpecError, match="a job holds no keys"):
        job(teacher={"teachers": [teacher | {"api_key": "sk-1"}]})


def test_a_default_is_written_as_the_same_value_given_would_be() -> None:
    """A default of 3 next to an explicit 3.0 would count as a change, and rerun a paid node."""
    explicit = job(train={"num_epochs": 3}, teacher={**TEACHER, "timeout_s": 300})
    assert repr(explicit.train) == repr(job().train)
    assert repr(explicit.teacher) == repr(job().teacher)
    models = [type(section) for _, section in explicit if isinstance(section, StepConfig)]
    floats = [info.default for model in models for info in model.model_fields.values() if info.annotation is float]
    assert floats
    assert all(isinstance(default, float) for default in floats)
