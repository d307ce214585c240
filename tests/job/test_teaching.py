"""The teacher's section: prices, rehearsals, and completions in place of a teacher."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.contracts.teacher import Simulation
from azdistill.job.loading import load_job
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan

ONE = {"model": "DeepSeek-V3.2", "connection": "deepseek"}


def job(teacher: dict[str, Any], task: str = "qa") -> DistillationJob:
    parts = {"data": {"training_data": "rows.jsonl"}, "student": {"model": "phi-4-mini"}}
    return DistillationJob.model_validate({"task": task, "teacher": teacher, **parts})


@pytest.mark.parametrize("task", ["nli", "qa", "math", "summarization", "conversation"])
def test_the_stand_in_is_an_expert_of_the_jobs_task(task: str) -> None:
    assert job({"teachers": [ONE]}, task).teacher.teachers[0].simulation == Simulation(expert=task)


def test_stand_ins_of_several_teachers_err_on_other_rows_unless_told_otherwise() -> None:
    named = [{**ONE, "name": str(place)} for place in range(2)]
    teachers = [*named, {**ONE, "simulation": {"seed": 7}}, {**ONE, "name": "last"}]
    assert [one.simulation.seed for one in job({"teachers": teachers}).teacher.teachers] == [0, 1, 7, 3]


def test_an_expert_that_is_named_stays() -> None:
    teachers = [{**ONE, "simulation": {"expert": "support", "seed": 3}}]
    assert job({"teachers": teachers}).teacher.teachers[0].simulation == Simulation(expert="support", seed=3)


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
