"""Fields of a job that are set from outside the file, as by `--set train.learning_rate=1e-5`."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.step import is_run_input
from azdistill.job.components import STEPS, step_of
from azdistill.job.loading import load_job
from azdistill.job.overrides import override
from azdistill.job.plan import plan, step_configs
from azdistill.job.simulation import judge_simulations

FULL = """\
task: qa
data: {training_data: rows.jsonl, test_data: test.jsonl}
teacher: {teachers: [{model: gpt-4.1, connection: openai}]}
student: {model: ./student}
train: {learning_rate: 3e-5}
"""
SHORT = """\
task_type: qa
teacher_model: deepseek-v3
student_model: ./student
training_data: rows.jsonl
hyperparameters: {learning_rate: 3e-5}
"""


@pytest.fixture
def job_file(folder: Path) -> Path:
    (folder / "job.yaml").write_text(FULL)
    return folder / "job.yaml"


def test_shape_and_bounds_of_the_steps_can_be_set(job_file: Path) -> None:
    settings = {
        "compute.timeout.train": "7200",
        "compute.spot": '["train"]',
        "compute.environment_variables.HTTPS_PROXY": "http://proxy:1",
        "compute.force_rerun": "true",
        "compute.train_instances": "2",
    }
    compute = load_job(job_file, settings).compute
    assert (compute.timeout, compute.spot, compute.force_rerun) == ({"train": 7200}, ("train",), True)
    assert (compute.environment_variables, compute.train_instances) == ({"HTTPS_PROXY": "http://proxy:1"}, 2)
    with pytest.raises(SpecError) as error:
        load_job(job_file, {"compute.train_processes": "3"})
    (problem,) = error.value.problems
    assert (problem.code, problem.subject, problem.value) == ("out_of_range", "--set", 3)


@pytest.mark.parametrize("text", [FULL, SHORT])
def test_a_setting_replaces_the_field_of_the_file(job_file: Path, text: str) -> None:
    job_file.write_text(text)
    job = load_job(job_file, {"train.learning_rate": "1e-5", "seed": "9", "evaluate.gates.min_gain": "0.1"})
    assert (job.train.learning_rate, job.seed, job.evaluate.gates.min_gain) == (1e-5, 9, 0.1)
    assert plan(job).scalars["learning_rate"] == 1e-5
    assert plan(job).scalars["seed"] == 9


def test_a_setting_gives_the_same_job_as_the_file(job_file: Path) -> None:
    changed = load_job(job_file, {"train.learning_rate": "2e-5", "curate.drop_minority": "true"})
    job_file.write_text(FULL.replace("3e-5", "2e-5") + "curate: {drop_minority: true}\n")
    assert changed == load_job(job_file)


def test_entries_of_lists_and_names_with_dots_can_be_set(job_file: Path) -> None:
    settings = {"teacher.teachers.0.max_in_flight": "8", "simulation.gpt-4.1.latency_ms": "7"}
    job = load_job(job_file, settings)
    assert job.teacher.teachers[0].max_in_flight == 8
    assert job.simulation["gpt-4.1"].latency_ms == 7


def test_fields_of_a_judge_can_be_set(job_file: Path) -> None:
    job_file.write_text(f"{FULL}judge: {{judge_model: {{model: gpt-5.1, connection: openai}}, rubric: Be right.}}\n")
    job = load_job(job_file, {"judge.rows": "20", "judge.rubric": "Be brief.", "simulation.gpt-5.1.wrong_rate": "0.3"})
    assert job.judge is not None
    assert (job.judge.rows, job.judge.rubric, job.judge.mode) == (20, "Be brief.", "pairwise")
    assert judge_simulations(job)[0].wrong_rate == 0.3


def test_fields_of_the_short_form_can_be_set(job_file: Path, folder: Path) -> None:
    job_file.write_text(SHORT)
    job = load_job(job_file, {"hyperparameters.num_epochs": "4", "student_model": "phi-4"})
    assert job.train.num_epochs == 4
    assert job.student.model.endswith("Phi-4/versions/7")


@pytest.mark.parametrize("text", [FULL, SHORT])
@pytest.mark.parametrize(
    ("name", "value", "code", "fix"),
    [
        ("train.learning_rate", "7", "out_of_range", "did you mean 2e-5?"),
        ("train.lr", "1e-5", "unknown_field", "did you mean learning_rate?"),
        ("training.learning_rate", "1e-5", "unknown_field", "did you mean train?"),
        ("data.training_data", "row.jsonl", "file_not_found", "did you mean rows.jsonl?"),
    ],
)
def test_a_wrong_setting_has_the_problem_of_the_file_without_a_line(
    job_file: Path, text: str, name: str, value: str, code: str, fix: str
) -> None:
    job_file.write_text(text)
    with pytest.raises(SpecError) as error:
        load_job(job_file, {name: value})
    (problem,) = error.value.problems
    assert (problem.code, problem.fix, problem.line) == (code, fix, 0)
    assert problem.text.startswith(f"--set: {'training' if name.startswith('training') else name}")


def test_values_are_copied() -> None:
    values = {"train": {"learning_rate": 1}, "teacher": {"teachers": [{"model": "m"}]}}
    changed, fields = override(values, {"train.learning_rate": "2", "teacher.teachers.0.model": "n"})
    assert values == {"train": {"learning_rate": 1}, "teacher": {"teachers": [{"model": "m"}]}}
    assert changed == {"train": {"learning_rate": "2"}, "teacher": {"teachers": [{"model": "n"}]}}
    assert fields == {("train", "learning_rate"), ("teacher", "teachers", 0, "model")}


def test_steps_share_an_input_of_the_pipeline_only_where_they_share_its_value(job_file: Path) -> None:
    """Fields of the same name in two steps are one input, so both must be marked and have the value of the job."""
    configs = step_configs(load_job(job_file))
    marked: dict[str, set[object]] = {}
    for step in configs:
        for name, info in step_of(step).config.model_fields.items():
            if is_run_input(info):
                marked.setdefault(name, set()).add(getattr(configs[step], name))
    assert {name: values for name, values in marked.items() if len(values) > 1} == {}
    shared = {"seed", "weights", "registered_model"}
    for step in STEPS:
        for name, info in step_of(step).config.model_fields.items():
            assert name not in shared or is_run_input(info), f"{step}.{name}"
    assert marked.keys() >= {"seed", "rows", "num_epochs", "learning_rate", "max_new_tokens", "enforce_gates"}
