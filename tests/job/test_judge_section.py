"""Section judge: its node and files in the bundle, and warnings about a judge that is related to what it judges."""

import json
from pathlib import Path

import pytest

from azdistill.cli.options import Format
from azdistill.cli.plan import plan as plan_command
from azdistill.contracts.problems import dotted
from azdistill.job.advice import advice
from azdistill.job.bundle import compile_job, pipeline_document
from azdistill.job.estimates import estimate
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.planned_requests import EstimatedRange, PlannedTeacher

JUDGE = {"judge_model": {"model": "gpt-4.1", "connection": "boss"}, "rubric": "The answer is right."}
PRICED = {"model": "gpt-4.1", "connection": "boss", "input_price": 2, "output_price": 8}


def job(**fields) -> DistillationJob:
    return DistillationJob.model_validate(
        {
            "task": "conversation",
            "data": {"training_data": "rows.jsonl", "test_data": "rows.jsonl"},
            "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]},
            "student": {"model": "phi-4-mini"},
            **fields,
        }
    )


def test_the_node_is_there_only_with_the_section():
    without, judged = (pipeline_document(plan(job(**fields))) for fields in ({}, {"judge": JUDGE}))
    assert set(judged["jobs"]) - set(without["jobs"]) == {"judge"}
    assert set(judged["inputs"]) - set(without["inputs"]) == {
        "judge_model",
        "judge_route",
        "judge_simulation",
        "rubric",
    }
    for name, node in without["jobs"].items():
        reads = {"judgements"} if name in ("evaluate", "report") else set()
        assert set(judged["jobs"][name]["inputs"]) - set(node["inputs"]) == reads
        assert {port: judged["jobs"][name]["inputs"][port] for port in node["inputs"]} == node["inputs"]
    order = list(judged["jobs"])
    assert order.index("predict_baseline") < order.index("judge") < order.index("evaluate")


def test_a_minimum_score_adds_the_node_that_judges_answers(tmp_path: Path):
    without, scored = (
        pipeline_document(plan(job(judge={**JUDGE, "budget": 5, "judge_model": PRICED}, curate=curate)))
        for curate in ({}, {"min_judge_score": 3.5})
    )
    assert set(scored["jobs"]) - set(without["jobs"]) == {"judge_answers"}
    assert set(scored["inputs"]) - set(without["inputs"]) == {"min_judge_score"}
    assert scored["inputs"]["min_judge_score"] == 3.5
    for name, node in without["jobs"].items():
        added = {port: value for port, value in scored["jobs"][name]["inputs"].items() if port not in node["inputs"]}
        minimum = {"min_judge_score": "${{parent.inputs.min_judge_score}}"} if name == "curate" else {}
        port = {"answer_scores": "${{parent.jobs.judge_answers.outputs.answer_scores}}"}
        assert added == ({**port, **minimum} if name in ("curate", "judge", "report", "register") else {})
        assert {port: scored["jobs"][name]["inputs"][port] for port in node["inputs"]} == node["inputs"]
    judge, answers = scored["jobs"]["judge"], scored["jobs"]["judge_answers"]
    assert answers["inputs"]["completions"] == "${{parent.jobs.teacher.outputs.completions}}"
    for shared in ("judge_model", "judge_route", "rubric", "judge_simulation", "budget", "max_unjudged"):
        assert answers["inputs"][shared] == judge["inputs"][shared]
    assert answers["outputs"]["store"] == judge["outputs"]["store"]


@pytest.mark.parametrize("as_file", [False, True])
def test_a_rubric_is_a_text_or_a_file_and_its_change_is_one_of_the_judge_alone(tmp_path: Path, as_file: bool):
    (tmp_path / "rows.jsonl").write_text("{}\n")

    def compiled(name: str, rubric: str) -> dict[str, str]:
        if as_file:
            (tmp_path / "rubric.md").write_text(rubric)
        section = {**JUDGE, "rubric": str(tmp_path / "rubric.md") if as_file else rubric, "human_labels": labels}
        rows = str(tmp_path / "rows.jsonl")
        bundle = tmp_path / name
        compile_job(job(data={"training_data": rows, "test_data": rows}, judge=section), bundle)
        return {path.relative_to(bundle).as_posix(): path.read_text() for path in bundle.rglob("*") if path.is_file()}

    labels = str(tmp_path / "labels.jsonl")
    Path(labels).write_text('{"id": "a", "answers": ["b", "c"], "preference": "tie"}\n')
    first, second = compiled("first", "Be right."), compiled("second", "Be right;\n$(be) 'brief'.")
    rubric = f"inputs/rubric.{'md' if as_file else 'txt'}"
    assert second[rubric] == "Be right;\n$(be) 'brief'."
    assert {name for name in first if first[name] != second[name]} == {rubric}
    assert json.loads(first["inputs/judge_model.json"])["connection"] == "boss"
    assert first["inputs/human_labels.jsonl"] == Path(labels).read_text()
    assert "components/judge/code/azdistill/steps/judge.py" in first


@pytest.mark.parametrize(
    ("judge", "teacher", "student", "related"),
    [
        ("gpt-4.1", "deepseek-v3", "phi-4-mini", 0),
        ("gpt-4.1", "gpt-4.1", "phi-4-mini", 1),
        ("gpt-5", "gpt-4.1", "phi-4-mini", 1),
        ("prod-gpt5", "azure-gpt-4.1", "phi-4-mini", 1),
        ("our-judge", "our-judge", "phi-4-mini", 1),
        ("our-judge", "our-teacher", "phi-4-mini", 0),
        ("DeepSeek-R1-Distill-Llama-70B", "Llama-3.3-70B-Instruct", "phi-4-mini", 1),
        ("Phi-4", "gpt-4.1", "phi-4-mini", 1),
        ("Phi-4", "phi-4", "phi-4-mini", 2),
        ("graphite", "gpt-4.1", "phi-4-mini", 0),
    ],
)
def test_a_judge_of_the_family_of_teacher_or_student_is_a_warning(judge, teacher, student, related):
    section = {**JUDGE, "judge_model": {"model": judge, "connection": "boss"}}
    teachers = {"teachers": [{"model": teacher, "connection": "deepseek"}]}
    warnings = [
        problem
        for problem in advice(job(judge=section, teacher=teachers, student={"model": student}))
        if problem.code == "related_judge"
    ]
    assert len(warnings) == related
    assert {(dotted(warning.field), warning.value) for warning in warnings} <= {("judge.judge_model.model", judge)}


def test_a_judge_that_azure_retires_is_a_warning_and_its_licence_is_none():
    section = {**JUDGE, "judge_model": {"model": "llama-3.1-405b", "connection": "boss"}}
    codes = {problem.code for problem in advice(job(judge=section)) if problem.field[0] == "judge"}
    assert codes == {"retired_model"}


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """200 rows with prompts of 60 characters and references of 30."""
    row = {"messages": [{"role": "user", "content": "x" * 60}], "gold": "y" * 30}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 200)
    return str(tmp_path / "rows.jsonl")


def planned(path: str, **judge) -> PlannedTeacher | None:
    data = {"training_data": path, "test_data": path}
    return estimate(job(data=data, judge={**JUDGE, **judge})).judge


def test_the_plan_of_a_judge(rows: str, tmp_path: Path):
    assert [planned(rows, **fields).asked.high for fields in ({}, {"rows": 50}, {"rows": 0}, {"mode": "score"})] == [
        1200,
        300,
        1200,
        600,
    ]
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"id": "a", "answers": ["b", "c"], "preference": "tie"}\n' * 10)
    assert planned(rows, human_labels=str(labels)).asked.high == 1220
    priced = planned(rows, judge_model=PRICED, max_tokens=100)
    assert priced.output_tokens == EstimatedRange(1200 * 30, 1200 * 100)
    assert priced.cost.high == pytest.approx((priced.input_tokens.high * 2 + 1200 * 100 * 8) / 1e6)
    assert planned(rows, judge_model=PRICED, budget=0.5).cost.high == 0.5
    assert planned(rows).cost is None
    assert planned(rows, judge_route="simulated") is None
    assert planned("azureml:rows:1") is None
    # A longer rubric is paid for with each request.
    longer = planned(rows, rubric="x" * (5 * 1000)).input_tokens.low - planned(rows, rubric="x" * 5).input_tokens.low
    assert longer == pytest.approx(1200 * 999, abs=2)


def test_the_plan_of_a_judge_of_answers(rows: str):
    data = {"training_data": rows, "test_data": rows}
    teachers = [{"model": "deepseek-v3", "connection": "deepseek"}]

    def both(teacher=(), **judge):
        section = {**JUDGE, "judge_model": PRICED, "max_tokens": 100, **judge}
        settings = {"teacher": {"teachers": teachers, **dict(teacher)}, "judge": section}
        return estimate(job(data=data, curate={"min_judge_score": 4}, **settings))

    planned = both()
    answers, test = planned.judge_answers, planned.judge
    assert (answers.asked, test.asked.high) == (EstimatedRange(200, 200), 1200)
    assert answers.output_tokens == EstimatedRange(200 * 30, 200 * 100)
    assert answers.cost.high == pytest.approx((answers.input_tokens.high * 2 + 200 * 100 * 8) / 1e6)
    assert planned.judge_cost.high == pytest.approx(answers.cost.high + test.cost.high)
    assert both(budget=0.5).judge_cost == EstimatedRange(0.5, 0.5)
    assert both({"samples": 3, "temperature": 1}).judge_answers.asked.high == 600
    assert both(judge_route="simulated").judge_answers is None
    assert estimate(job(data=data, judge=JUDGE)).judge_answers is None


def test_the_plan_shows_the_judge(rows: str, tmp_path: Path, monkeypatch, capsys):
    section = json.dumps({**JUDGE, "judge_model": PRICED})
    (tmp_path / "job.yaml").write_text(
        f"task: conversation\ndata: {{training_data: {rows}, test_data: {rows}}}\nstudent: {{model: phi-4-mini}}\n"
        f"teacher: {{teachers: [{{model: deepseek-v3, connection: deepseek}}]}}\njudge: {section}\n"
        "curate: {min_judge_score: 3}\n"
    )
    monkeypatch.setenv("COLUMNS", "200")
    plan_command(tmp_path / "job.yaml", Format.text)
    out = capsys.readouterr().out
    assert "gpt-4.1: at most 1,200 requests, mode pairwise" in out
    assert "gpt-4.1: at most 200 requests, for curate.min_judge_score=3" in out
    assert " of both: " in out
    plan_command(tmp_path / "job.yaml", Format.json)
    assert json.loads(capsys.readouterr().out)["judge"]["asked"] == {"low": 1200, "high": 1200}
