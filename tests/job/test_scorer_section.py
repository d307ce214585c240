"""Section scorer of a job: step train runs in its variant, and a scorer that cannot work is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.job.bundle import pipeline_document
from azdistill.job.estimates import Estimate, estimate
from azdistill.job.model import DistillationJob
from azdistill.job.plan import Plan, plan
from azdistill.job.planned_requests import EstimatedRange
from azdistill.job.snapshot import closure

ENDPOINT = {"model": "big", "endpoint": "https://big.eastus.inference.ml.azure.com/v1"}
ON_POLICY = {"on_policy": {"share": 0.5}}
SELF = {"on_policy": {"teacher": "self"}}


def planned(scorer: Any, train: dict[str, Any] = ON_POLICY, **sections: Any) -> Plan:
    job = {
        "task": "conversation",
        "data": {"training_data": "rows.jsonl", "test_data": "rows.jsonl"},
        "teacher": {"teachers": [{"model": "deepseek-v3", "connection": "deepseek"}]},
        "student": {"model": "phi-4-mini"},
        "scorer": scorer,
        "train": train,
        **sections,
    }
    return plan(DistillationJob.model_validate(job))


@pytest.mark.parametrize(
    ("scorer", "environment", "model"),
    [
        ({"teacher": ENDPOINT, "budget": None}, "gpu", None),
        ({"model": "azureml:big:1", "type": "mlflow_model"}, "vllm", "azureml:big:1"),
    ],
)
def test_train_runs_in_its_variant(scorer: Any, environment: str, model: str | None) -> None:
    bundle = planned(scorer)
    (train,) = (node for node in bundle.nodes if node.name == "train")
    assert (train.step.module, train.step.environment) == ("azdistill.steps.train_scored", environment)
    document = pipeline_document(bundle)
    node, store = document["jobs"]["train"], document["jobs"]["teacher"]["outputs"]["store"]
    assert node["component"] == "./components/train/component.yml"
    assert node["outputs"]["store"] == store
    assert node["environment_variables"] == {"AZDISTILL_REQUIRED_GPUS": "1"}
    assert node["limits"]["timeout"] == 86_400
    assert node["inputs"]["scorer_route"] == "${{parent.inputs.scorer_route}}"
    assert document["inputs"]["scorer"]["path"] == "./inputs/scorer.json"
    assert ("scorer_model" in node["inputs"]) == (model is not None)
    if model:
        assert document["inputs"]["scorer_model"] == {"type": "mlflow_model", "path": model, "mode": "download"}


def test_only_the_variant_has_the_teacher_library_in_its_snapshot() -> None:
    """A change of the teacher library trains no student again that has no scorer."""
    (train,) = (node for node in planned(None, {}).nodes if node.name == "train")
    assert "teacher" not in {path.parts[1] for path in closure(train.step.module)}
    assert "teacher" in {path.parts[1] for path in closure("azdistill.steps.train_scored")}
    assert "store" not in train.outputs


SERVERLESS = {"model": "big", "endpoint": "https://name.eastus.models.ai.azure.com"}


@pytest.mark.parametrize(
    ("scorer", "train", "code", "field", "text"),
    [
        ({"teacher": SERVERLESS}, ON_POLICY, "no_scoring", ("scorer", "teacher", "endpoint"), "scorer.model"),
        ({"teacher": ENDPOINT}, {}, "unused_teacher", ("scorer",), "set train.on_policy"),
        ({"teacher": ENDPOINT}, SELF, "unused_teacher", ("scorer",), "set train.on_policy.teacher to auto"),
        (None, ON_POLICY, "missing_teacher", ("train", "on_policy"), "white_box, or an endpoint"),
        ({}, ON_POLICY, "incompatible_fields", ("scorer",), "set teacher to an endpoint, or model to a folder"),
        ({"teacher": ENDPOINT, "model": "azureml:a:1"}, ON_POLICY, "incompatible_fields", ("scorer",), "either"),
        ({"teacher": {"model": "big"}}, ON_POLICY, "no_endpoint", ("scorer",), "'big' has neither"),
        ({"teacher": ENDPOINT, "budget": 3}, ON_POLICY, "no_prices", ("scorer",), "teacher.input_price"),
        ({"model": "azureml:big"}, ON_POLICY, "missing_version", ("scorer", "model"), "azureml:big:VERSION"),
    ],
)
def test_a_scorer_that_a_job_cannot_have(scorer: Any, train: Any, code: str, field: Any, text: str) -> None:
    with pytest.raises(SpecError) as caught:
        planned(scorer, train)
    (problem,) = caught.value.problems
    assert (problem.code, problem.field) == (code, field)
    assert text in str(problem)


def test_a_white_box_teacher_next_to_a_scorer_is_for_the_losses_of_stored_text() -> None:
    white_box = [{"model": "azureml:big:1"}]
    planned({"teacher": ENDPOINT}, {**ON_POLICY, "losses": {"text": 1, "logits": 1}}, white_box=white_box)
    with pytest.raises(SpecError, match="no loss uses it, and section scorer scores the sampled answers"):
        planned({"teacher": ENDPOINT}, ON_POLICY, white_box=white_box)
    with pytest.raises(SpecError, match=r"set train\.losses\.logits or train\.on_policy\.teacher to auto"):
        planned(None, SELF, white_box=white_box)


def estimated(tmp_path: Path, scorer: Any, **train: Any) -> Estimate:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(100 * (json.dumps({"prompt": "q" * 300, "completion": "a" * 50}) + "\n"))
    data = {"training_data": str(rows), "test_data": str(rows)}
    settings = {"on_policy": {"share": 0.5, "rollouts": 4, "max_new_tokens": 200, "start_fraction": 0.25}, **train}
    return estimate(planned(scorer, settings, data=data, prepare={"validation_fraction": 0.1}).job)


def test_a_plan_counts_the_requests_and_their_cost(tmp_path: Path) -> None:
    """90 rows, three epochs but for the first quarter of the steps, four answers to half of the rows."""
    priced = {"teacher": {**ENDPOINT, "input_price": 10.0, "output_price": 1000.0}}
    scorer = estimated(tmp_path, priced).scorer
    assert scorer is not None
    assert scorer.asked == EstimatedRange(405, 405)
    assert scorer.input_tokens == EstimatedRange(405 * 350 / 5, 405 * (300 / 3 + 200))
    assert scorer.cost == EstimatedRange((28_350 * 10 + 405_000) / 1e6, (121_500 * 10 + 405_000) / 1e6)
    capped = estimated(tmp_path, {**priced, "budget": 1.0}).scorer
    assert capped is not None
    assert capped.cost == EstimatedRange(0.6885, 1.0)


def test_a_plan_counts_the_memory_of_a_served_model(tmp_path: Path) -> None:
    """It is taken from the training, for which another method fits then."""
    (alone, served) = (
        estimated(tmp_path, scorer).training for scorer in ({"teacher": ENDPOINT}, {"model": "phi-4-mini"})
    )
    assert (alone.method, served.method) == ("full", "lora")
    assert served.parts is not None
    assert served.parts["scoring teacher"] == 0.4 * 80
