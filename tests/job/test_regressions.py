"""Section regressions: its node, inputs and files in the bundle, and warnings about its bounds."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from azdistill.contracts.problems import dotted
from azdistill.contracts.suites import MOST_SUITES
from azdistill.job.advice import advice
from azdistill.job.bundle import compile_job, pipeline_document
from azdistill.job.plan import plan
from tests.job.conftest import Check
from tests.job.test_judge_section import job

GENERAL = {"name": "general", "data": "general.jsonl", "task": "qa", "min_gain": -0.02}
REFUSALS = {"name": "refusals", "data": "azureml:unsafe:1", "metric": "refused", "min_gain": -0.01}


def test_only_prepare_feeds_the_suites_and_only_predict_evaluate_and_report_read_them() -> None:
    without, guarded = (pipeline_document(plan(job(**fields))) for fields in ({}, {"regressions": [GENERAL, REFUSALS]}))
    assert set(guarded["jobs"]) - set(without["jobs"]) == {"regression"}
    assert set(guarded["inputs"]) - set(without["inputs"]) == {"suite_1", "suite_2", "suites", "suite_gates"}
    assert guarded["inputs"]["suite_2"]["path"] == "azureml:unsafe:1"
    node = guarded["jobs"]["regression"]["inputs"]
    assert set(node) == {"prompts", "suite_1", "suite_2", "suites", "rows", "max_reject_ratio"}
    assert node["prompts"] == "${{parent.jobs.prepare.outputs.prompts}}"
    suites = "${{parent.jobs.regression.outputs.regressions}}"
    readers = {name for name, node in guarded["jobs"].items() if suites in node["inputs"].values()}
    assert readers == {"predict_student", "predict_baseline", "evaluate", "report"}
    for name, node in without["jobs"].items():
        inputs = dict(guarded["jobs"][name]["inputs"])
        added = {inputs.pop(port, None) for port in ("regressions", "suite_gates")} - {None}
        assert bool(added) == (name in readers)
        assert {**guarded["jobs"][name], "inputs": inputs} == node


def test_a_bound_or_a_metric_is_an_input_of_evaluate_alone(tmp_path: Path) -> None:
    for name in ("rows", "general"):
        (tmp_path / f"{name}.jsonl").write_text('{"prompt": "a"}\n')
    rows = {"training_data": str(tmp_path / "rows.jsonl"), "test_data": str(tmp_path / "rows.jsonl")}

    def compiled(name: str, **changed: Any) -> dict[str, str]:
        suite = {**GENERAL, "data": str(tmp_path / "general.jsonl"), **changed}
        compile_job(job(data=rows, regressions=[suite]), tmp_path / name)
        files = (path for path in (tmp_path / name).rglob("*") if path.is_file())
        return {path.relative_to(tmp_path / name).as_posix(): path.read_text() for path in files}

    first, second = compiled("first"), compiled("second", min_gain=None, max_gain=0.1, metric="f1")
    assert {name for name in first if first[name] != second[name]} == {"inputs/suite_gates.json"}
    assert json.loads(first["inputs/suites.json"]) == [{"name": "general", "task": "qa", "labels": None}]
    assert first["inputs/suite_1.jsonl"] == '{"prompt": "a"}\n'
    assert "components/regression/code/azdistill/steps/regression.py" in first


@pytest.mark.parametrize(
    ("suite", "warnings"),
    [
        ({"min_gain": -0.02}, []),
        ({"max_gain": 0.02}, []),
        ({"min_gain": None}, []),
        ({}, [("no_bound", "regressions.0.min_gain", None)]),
        ({"min_gain": 0}, [("strict_bound", "regressions.0.min_gain", 0.0)]),
        ({"max_gain": 0, "min_gain": -1}, [("strict_bound", "regressions.0.max_gain", 0.0)]),
        ({"min_gain": -0.1, "data": "azureml://datastores/d/paths/rows.jsonl"}, [("mutable_path",)]),
    ],
)
def test_a_bound_that_gates_nothing_or_that_an_equal_student_misses_is_a_warning(
    suite: dict[str, Any], warnings: list[tuple[Any, ...]]
) -> None:
    problems = advice(job(regressions=[{"name": "general", "data": "general.jsonl", **suite}]))
    about = [problem for problem in problems if problem.field[0] == "regressions"]
    shown = [(problem.code, dotted(problem.field), problem.value) for problem in about]
    assert [found[: len(expected)] for found, expected in zip(shown, warnings, strict=True)] == warnings


def test_the_example_of_the_page_is_a_job_whose_bundle_has_its_gates() -> None:
    page = (Path(__file__).parents[2] / "docs" / "regressions.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    example_job = job(**YAML(typ="safe", pure=True).load(example))
    planned = plan(example_job)
    gates = planned.files["suite_gates"].content
    assert isinstance(gates, list)
    assert [(gate["name"], gate["metric"], gate["min_gain"], gate["max_gain"]) for gate in gates] == [
        ("general", None, -0.02, None),
        ("unsafe", "refused", -0.02, None),
        ("harmless", "refused", None, 0.02),
    ]
    assert "regression" in {node.name for node in planned.nodes}
    assert not [problem for problem in advice(example_job) if problem.field[0] == "regressions"]
    assert f"at most {MOST_SUITES} suites" in page


def test_all_problems_of_all_suites_are_reported_together(check: Check) -> None:
    text = """\
task: qa
data: {training_data: rows.jsonl, test_data: test.jsonl}
teacher: {teachers: [{model: DeepSeek-V3.2, connection: deepseek}]}
student: {model: ./student}
regressions:
  - {name: my rows, data: gone.jsonl, metric: f1, min_gain: x}
  - {name: b, data: "azureml:rows", metric: nope}
  - {name: c, data: rows.jsonl, min_gain: 0.2, max_gain: 0.1}
"""
    job, lines = check(text)
    assert job is None
    assert sorted(line.split(":")[0] for line in lines) == [
        "6 file_not_found",
        "6 unsuitable_metric",
        "6 wrong_format",
        "6 wrong_type",
        "7 missing_version",
        "7 unknown_metric",
        "8 incompatible_fields",
    ]
