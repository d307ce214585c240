"""data.augment: its node in the bundle, its estimate, and jobs that cannot have it."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.cli.options import Format
from azdistill.cli.plan import plan as plan_command
from azdistill.contracts.errors import SpecError
from azdistill.job.bundle import compile_job, pipeline_document
from azdistill.job.estimates import estimate
from azdistill.job.model import DistillationJob
from azdistill.job.plan import plan
from azdistill.job.planned_requests import EstimatedRange

PRICES = {"input_price": 2, "output_price": 8}


def job(augment: dict[str, Any] | None = None, rows: str = "rows.jsonl", **fields: Any) -> DistillationJob:
    data = {"training_data": rows, "test_data": rows} | ({"augment": augment} if augment else {})
    return DistillationJob.model_validate(
        {
            "task": "conversation",
            "data": data,
            "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek", **PRICES}]},
            "student": {"model": "phi-4-mini"},
            **fields,
        }
    )


def test_only_the_teacher_reads_the_new_prompts() -> None:
    without, augmented = (pipeline_document(plan(job(augment))) for augment in (None, {"new_prompts": 200}))
    assert set(augmented["jobs"]) - set(without["jobs"]) == {"augment"}
    assert set(augmented["inputs"]) - set(without["inputs"]) == {"new_prompts"}
    assert list(augmented["jobs"]).index("augment") < list(augmented["jobs"]).index("teacher")
    for name, node in without["jobs"].items():
        changed = {
            port: value
            for port, value in augmented["jobs"][name]["inputs"].items()
            if node["inputs"].get(port) != value
        }
        port = {"teacher": "prompts", "report": "augmented", "register": "augmented"}.get(name)
        assert changed == ({port: "${{parent.jobs.augment.outputs.augmented}}"} if port else {})
    inputs = augmented["jobs"]["augment"]["inputs"]
    assert inputs["prompts"] == "${{parent.jobs.prepare.outputs.prompts}}"
    assert (inputs["teachers"], inputs["teacher_route"]) == tuple(
        augmented["jobs"]["teacher"]["inputs"][name] for name in ("teachers", "teacher_route")
    )
    assert augmented["jobs"]["augment"]["outputs"]["store"] == augmented["jobs"]["teacher"]["outputs"]["store"]


def test_new_prompts_are_checked_as_the_rows_are(tmp_path: Path) -> None:
    settings = {"public_test_sets": str(tmp_path), "training_data": "rows.jsonl", "augment": {"new_prompts": 5}}
    nodes = pipeline_document(plan(job(data=settings, prepare={"pii": "redact"})))["jobs"]
    for port in ("public_test_sets", "pii"):
        assert nodes["augment"]["inputs"][port] == nodes["prepare"]["inputs"][port]
    assert nodes["augment"]["inputs"]["pii"] == "redact"


def test_a_setting_of_the_new_prompts_changes_the_node_and_no_snapshot(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "a", "completion": "b"}\n')

    def compiled(**augment: Any) -> dict[str, bytes]:
        bundle = tmp_path / "bundle"
        compile_job(job({"new_prompts": 200, **augment}, str(rows)), bundle)
        return {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*") if path.is_file()}

    first, second = compiled(), compiled(per_request=9, temperature=0.5)
    assert {name for name in first if first[name] != second[name]} == {"pipeline.yml"}
    assert "components/augment/code/azdistill/steps/augment.py" in first
    assert "components/teacher/code/azdistill/contracts/augment.py" not in first


@pytest.mark.parametrize(
    ("augment", "teacher", "problem"),
    [
        ({"new_prompts": 0}, {}, "data.augment.new_prompts=0: must be at least 1"),
        ({}, {}, "data.augment.new_prompts: required field is missing"),
        ({"prompts": 5, "new_prompts": 5}, {}, "data.augment.prompts: unknown field"),
        (
            {"new_prompts": 5, "budget": 1},
            {"input_price": None},
            "data.augment.budget=1: needs the prices of teacher",
        ),
    ],
)
def test_wrong_settings(augment: dict[str, Any], teacher: dict[str, Any], problem: str) -> None:
    teachers = {"teachers": [{"model": "deepseek-v3", "connection": "deepseek", **PRICES, **teacher}]}
    with pytest.raises(SpecError) as error:
        job(augment or {"examples": 4}, teacher=teachers)
    assert problem in str(error.value)


def test_a_job_with_completions_asks_no_teacher() -> None:
    with pytest.raises(SpecError, match=r"^data\.augment: no teacher is asked, because teacher\.completions has the"):
        job({"new_prompts": 5}, teacher={"completions": "answers.jsonl"})


@pytest.fixture
def rows(tmp_path: Path) -> str:
    """200 rows with prompts of 60 characters and references of 30."""
    row = {"messages": [{"role": "user", "content": "x" * 60}], "gold": "y" * 30}
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 200)
    return str(tmp_path / "rows.jsonl")


def test_the_plan_counts_requests_and_the_answers_to_new_prompts(rows: str) -> None:
    planned, without = estimate(job({"new_prompts": 102}, rows)), estimate(job(rows=rows))
    augment = planned.augment
    assert augment
    assert augment.asked == EstimatedRange(21, 42)
    assert augment.output_tokens == EstimatedRange(21 * 64, 42 * 4096)
    assert augment.cost
    assert augment.cost.high == pytest.approx((augment.input_tokens.high * 2 + 42 * 4096 * 8) / 1e6)
    assert planned.asked
    assert without.asked
    assert planned.asked.high - without.asked.high == 102
    assert (planned.rows, without.augment) == (without.rows, None)
    budget = estimate(job({"new_prompts": 102, "budget": 0.01}, rows)).augment
    assert budget
    assert budget.cost == EstimatedRange(0.01, 0.01)
    assert estimate(job({"new_prompts": 102}, "azureml:rows:1")).augment is None


def test_the_plan_shows_the_new_prompts(rows: str, tmp_path: Path, monkeypatch, capsys) -> None:
    (tmp_path / "job.yaml").write_text(
        f"task: conversation\ndata: {{training_data: {rows}, test_data: {rows}, augment: {{new_prompts: 50}}}}\n"
        "student: {model: phi-4-mini}\nteacher: {teachers: [{model: deepseek-v3, connection: deepseek}]}\n"
    )
    monkeypatch.setenv("COLUMNS", "200")
    plan_command(tmp_path / "job.yaml", Format.text)
    out = capsys.readouterr().out
    assert "200 test; 50 new training prompts" in out
    assert "deepseek-v3: 10 to 20 requests" in out
