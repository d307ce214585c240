"""The examples of docs/judge.md are valid."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from azdistill.contracts.judge_files import read_labels
from azdistill.job.model import DistillationJob
from azdistill.job.plan import Text, plan

TEXT = (Path(__file__).parents[2] / "docs" / "judge.md").read_text(encoding="utf-8")
JOB = {
    "task": "conversation",
    "data": {"training_data": "rows.jsonl"},
    "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]},
    "student": {"model": "phi-4-mini"},
}


def block(language: str, number: int = 0) -> str:
    text: str = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)[number]
    return text


def test_the_job_of_the_page_compiles_and_is_judged() -> None:
    job = DistillationJob.model_validate(JOB | YAML(typ="safe", pure=True).load(block("yaml")))
    planned = plan(job)
    rubric = planned.files["rubric"].content
    assert isinstance(rubric, Text)
    assert "policy" in rubric.text
    (judge,) = [node for node in planned.nodes if node.name == "judge"]
    assert (judge.inputs["rows"], judge.inputs["budget"]) == (200, 5)


def test_the_minimum_score_of_the_page_belongs_to_its_job() -> None:
    section, minimum = (YAML(typ="safe", pure=True).load(block("yaml", number)) for number in (0, 1))
    nodes = {node.name: node for node in plan(DistillationJob.model_validate(JOB | section | minimum)).nodes}
    assert nodes["judge_answers"].inputs["budget"] == 5
    assert "answer_scores" in nodes["curate"].inputs


def test_the_label_of_the_page_can_be_used(tmp_path: Path) -> None:
    (tmp_path / "labels.jsonl").write_text(block("json"))
    ((_, reading),) = read_labels(tmp_path / "labels.jsonl", "pairwise")
    assert reading == "first"
