"""The gates of docs/metrics.md are a job, and its slices and metrics are checked."""

from pathlib import Path

import pytest
import yaml

from azdistill.contracts.errors import SpecError
from azdistill.contracts.evaluate import MetricBound
from azdistill.job.gate_bounds import bound_problems
from azdistill.job.model import DistillationJob
from azdistill.job.plan import step_configs
from azdistill.metrics.registry import METRICS

PAGE = Path(__file__).parents[2] / "docs/metrics.md"


@pytest.fixture
def job():
    snippet = PAGE.read_text(encoding="utf-8").split("## Gates")[1].split("```yaml\n")[1].split("```")[0]
    teacher = {"teachers": [{"model": "DeepSeek-V3.2", "endpoint": "https://example.com/v1"}]}
    return {"task": "nli", "teacher": teacher, "student": {"model": "phi-4-mini"}, **yaml.safe_load(snippet)}


def test_the_gates_of_the_page_are_a_job(job):
    configs = step_configs(DistillationJob.model_validate(job))
    assert [gate.name for gate in configs["evaluate"].gates.bounds] == [
        "min_accuracy (topic=billing)",
        "min_accuracy_vs_baseline (worst slice)",
        "min_agreement_vs_baseline",
    ]
    assert configs["prepare"].slice_columns == "topic"


def test_a_slice_by_a_column_that_is_not_named_is_a_problem(job):
    del job["data"]["slice_columns"]
    job["prepare"] = {"slice_columns": "topic"}
    with pytest.raises(SpecError) as raised:
        DistillationJob.model_validate(job)
    problems = {(problem.code, problem.field) for problem in raised.value.problems}
    assert problems == {
        ("unknown_slice", ("evaluate", "gates", "bounds", 0, "slice", "topic")),
        ("shared_field", ("prepare", "slice_columns")),
    }


def test_a_bound_that_cannot_be_measured_is_a_problem():

    gates = [
        MetricBound(metric="acuracy", at_least=0),
        MetricBound(metric="bleu", at_least=30, slice={"topic": "billing"}, compared_with="baseline"),
        MetricBound(metric="latency_p95_s", at_most=1, slice="worst"),
        MetricBound(metric="accuracy", at_least=0, slice={"topik": "billing", "source": "a.jsonl"}),
        MetricBound(metric="device", at_least=0),
        MetricBound(metric="latency", at_most=1),
    ]
    problems = [(problem.code, problem.field[3:]) for problem in bound_problems(gates, ["topic"], METRICS)]
    assert problems == [
        ("unknown_metric", (0, "metric")),
        ("incompatible_fields", (1, "slice")),
        ("incompatible_fields", (1, "compared_with")),
        ("incompatible_fields", (2, "slice")),
        ("unknown_slice", (3, "slice", "topik")),
        ("unknown_metric", (4, "metric")),
    ]


def test_a_gate_on_the_cost_needs_a_price(job):
    job["evaluate"]["gates"] |= {"metrics": {"cost_per_1000": 1}, "bounds": [{"metric": "cost_per_1000", "at_most": 1}]}
    with pytest.raises(SpecError) as raised:
        DistillationJob.model_validate(job)
    assert [(problem.code, problem.field) for problem in raised.value.problems] == [
        ("missing_price", ("evaluate", "gates", "metrics", "cost_per_1000")),
        ("missing_price", ("evaluate", "gates", "bounds", 0)),
    ]
    configs = step_configs(DistillationJob.model_validate(job | {"prices": {"serving_hour": 3.5}}))
    assert configs["evaluate"].serving_hour_price == 3.5
