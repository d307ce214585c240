"""Section `teacher`: simulated teachers, and imported completions instead of a teacher."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.files import read_json
from azdistill.contracts.simulation import Simulation
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.simulation import simulations

ONE = {"model": "DeepSeek-V3.2", "connection": "deepseek"}


def job(teacher: dict[str, Any], task: str = "qa", **sections: Any) -> DistillationJob:
    parts = {"data": {"training_data": "rows.jsonl"}, "student": {"model": "phi-4-mini"}}
    return DistillationJob.model_validate({"task": task, "teacher": teacher, **parts, **sections})


@pytest.mark.parametrize("task", ["nli", "qa", "math", "summarization", "conversation"])
def test_the_simulated_teacher_is_an_expert_of_the_jobs_task(task: str) -> None:
    assert simulations(job({"teachers": [ONE]}, task)) == [Simulation(expert=task)]


def test_a_copy_of_a_job_with_another_task_simulates_the_expert_of_that_task() -> None:
    copy = job({"teachers": [ONE]}, "qa").model_copy(update={"task": "math"})
    assert simulations(copy) == [Simulation(expert="math")]


def test_several_simulated_teachers_err_on_different_rows_by_default() -> None:
    named = [{**ONE, "name": str(index)} for index in range(2)]
    teachers = [*named, ONE, {**ONE, "name": "last"}]
    simulated = simulations(job({"teachers": teachers}, simulation={"DeepSeek-V3.2": {"seed": 7}}))
    assert [settings.seed for settings in simulated] == [0, 1, 7, 3]


def test_an_expert_that_is_named_stays() -> None:
    settings = {"DeepSeek-V3.2": {"expert": "support", "seed": 3}}
    assert simulations(job({"teachers": [ONE]}, simulation=settings)) == [Simulation(expert="support", seed=3)]


def test_parameters_of_a_teacher_are_in_its_file_and_accepted_by_its_simulation(tmp_path: Path) -> None:
    parameters = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}}
    (tmp_path / "rows.jsonl").write_text("{}\n")
    data = {"training_data": str(tmp_path / "rows.jsonl")}
    model = job({"teachers": [{**ONE, "parameters": parameters}]}, data=data)
    inputs = compile_job(model, tmp_path / "bundle").parent / "inputs"
    assert read_json(inputs / "teachers.json")[0]["parameters"] == parameters
    (simulation,) = simulations(model)
    assert simulation.accepted_parameters == tuple(parameters)


def test_settings_of_a_teacher_that_the_job_does_not_have_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"^simulation\.DeepSeek: no teacher has this name; did you mean 'DeepSeek-V3\.2'\?$"
    ):
        job({"teachers": [ONE]}, simulation={"DeepSeek": {"seed": 3}})


def test_a_new_setting_of_the_simulated_teachers_changes_nothing_of_a_real_job(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither its pipeline and inputs nor the snapshot, and so the cache key, of any step."""

    class NewSimulation(Simulation):
        jitter_ms: float = 3.0

    (tmp_path / "rows.jsonl").write_text("{}\n")
    data = {"data": {"training_data": str(tmp_path / "rows.jsonl")}}
    real = job({"teachers": [ONE]}, simulation={"DeepSeek-V3.2": {"latency_ms": 7}}, **data)
    simulated = job({"teachers": [ONE], "teacher_route": "simulated"}, **data)
    before, dry_run = bundle(real, tmp_path), bundle(simulated, tmp_path)
    monkeypatch.setattr("azdistill.job.simulation.Simulation", NewSimulation)
    changed = real.model_copy(update={"simulation": {"DeepSeek-V3.2": NewSimulation(latency_ms=9)}})
    assert bundle(changed, tmp_path) == before
    assert before["inputs/simulation.json"] == b"[]\n"
    assert bundle(simulated, tmp_path) != dry_run
    assert not [path for path in before if path.endswith("contracts/simulation.py")]


def bundle(a_job: DistillationJob, folder: Path) -> dict[str, bytes]:
    root = compile_job(a_job, folder / "bundle").parent
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_completions_need_no_teacher_and_may_name_theirs() -> None:
    alone = job({"completions": "answers.jsonl"}).teacher
    assert (alone.teacher_route, alone.teachers[0].model) == ("completions", "given")
    named = job({"completions": "answers.jsonl", "teachers": [{"model": "gpt-4o"}]}).teacher
    assert (named.teacher_route, named.teachers[0].model) == ("completions", "gpt-4o")


def test_completions_are_a_file_of_the_pipeline_that_only_the_teacher_step_reads() -> None:
    planned = plan(job({"completions": "answers.jsonl"}))
    assert planned.files["completions"].content == "answers.jsonl"
    readers = {node.name for node in planned.nodes if "${{parent.inputs.completions}}" in node.inputs.values()}
    assert readers == {"teacher"}
    without = plan(job({"teachers": [ONE]}))
    assert "completions" not in without.files
    assert "answers" not in next(node for node in without.nodes if node.name == "teacher").inputs


def test_completions_that_are_not_there_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "job.yaml").write_text(
        "task: qa\ndata: {training_data: rows.jsonl}\nstudent: {model: phi-4-mini}\nteacher:\n  completions: no.jsonl\n"
    )
    with pytest.raises(SpecError, match=r"job\.yaml:5: teacher\.completions='no\.jsonl': no such file"):
        load_job(tmp_path / "job.yaml")
