"""Section `tuning` makes the train node a sweep, which Azure's client and the local engine read."""

import math

import pytest
import yaml

from azdistill.contracts.errors import SpecError
from azdistill.engine.pipeline.checks import pipeline_problems
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from azdistill.job.model import DistillationJob
from tests.small_job import small_job

SEARCH_SPACE = {
    "learning_rate": {"min": 1e-5, "max": 1e-3, "log": True},
    "lora_rank": {"min": 4, "max": 64},
    "method": ["lora", "full"],
    "use_dora": [True, False],
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuning")
    early = {"policy": "bandit", "slack_factor": 0.2, "delay_evaluation": 2}
    path = small_job(folder / "job")
    tuning = {"search_space": SEARCH_SPACE, "max_trials": 6, "early_termination": early}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "tuning": tuning}))
    return compile_job(load_job(path), folder / "bundle")


def test_the_train_node_is_a_sweep_of_the_fields(pipeline):
    document = yaml.safe_load(pipeline.read_text())
    train = document["jobs"]["train"]
    assert (train["type"], train["trial"]) == ("sweep", "./components/train/component.yml")
    assert train["search_space"] == {
        "learning_rate": {"type": "loguniform", "min_value": math.log(1e-5), "max_value": math.log(1e-3)},
        "lora_rank": {"type": "quniform", "min_value": 4, "max_value": 64, "q": 1},
        "method": {"type": "choice", "values": ["lora", "full"]},
        "use_dora": {"type": "choice", "values": ["true", "false"]},
    }
    assert train["objective"] == {"goal": "minimize", "primary_metric": "eval_loss"}
    assert train["early_termination"]["slack_factor"] == 0.2
    assert train["limits"] == {"max_total_trials": 6, "max_concurrent_trials": 2, "trial_timeout": 86400}
    assert not train["inputs"].keys() & SEARCH_SPACE
    assert not document["inputs"].keys() & SEARCH_SPACE
    assert train["inputs"]["num_epochs"] == "${{parent.inputs.num_epochs}}"
    # Azure ML ignores environment variables of a sweep node.
    assert "environment_variables" not in train
    assert train["inputs"]["required_gpus"] == 1
    assert document["jobs"]["report"]["inputs"]["swept_fields"] == "learning_rate,lora_rank,method,use_dora"
    assert document["jobs"]["predict_student"]["inputs"]["model"] == "${{parent.jobs.train.outputs.model}}"


def test_the_local_engine_and_the_client_read_it(pipeline):
    from azure.ai.ml import load_job as load_with_client

    loaded = load_pipeline(pipeline)
    assert [problem for problem in pipeline_problems(loaded) if problem.severity == "error"] == []
    train = load_with_client(pipeline).jobs["train"]
    assert train.sampling_algorithm == "random"
    assert train.search_space["lora_rank"].q == 1


WRONG = {
    "text in a range": ({"search_space": {"num_epochs": {"min": "a", "max": 2}}}, "wrong_type", "num_epochs"),
    "misspelt bound": ({"search_space": {"num_epochs": {"mn": 1, "max": 2}}}, "wrong_type", "num_epochs"),
    "one value": ({"search_space": {"num_epochs": 3}}, "wrong_type", "num_epochs"),
    "no value": ({"search_space": {"num_epochs": []}}, "wrong_type", "num_epochs"),
    "a mapping as value": ({"search_space": {"num_epochs": [{"a": 1}]}}, "wrong_type", "num_epochs"),
    "unknown field": ({"search_space": {"learning_rat": [1e-4]}}, "unknown_field", "learning_rat"),
    "field of the job": ({"search_space": {"seed": [1, 2]}}, "unknown_field", "seed"),
    "value": ({"search_space": {"num_epochs": [1, -1]}}, "invalid_value", "num_epochs"),
    "bound": ({"search_space": {"learning_rate": {"min": 1e-4, "max": 1}}}, "invalid_value", "learning_rate"),
    "range of texts": ({"search_space": {"scheduler": {"min": 1, "max": 2}}}, "type_mismatch", "scheduler"),
    "empty range": ({"search_space": {"num_epochs": {"min": 2, "max": 2}}}, "out_of_range", "num_epochs"),
    "log of zero": (
        {"search_space": {"weight_decay": {"min": 0, "max": 1, "log": True}}},
        "out_of_range",
        "weight_decay",
    ),
    "grid of a range": (
        {"search_space": {"num_epochs": {"min": 1, "max": 2}}, "sampling": "grid"},
        "incompatible_fields",
        "num_epochs",
    ),
    "bayesian of a log range": (
        {"search_space": {"learning_rate": SEARCH_SPACE["learning_rate"]}, "sampling": "bayesian"},
        "incompatible_fields",
        "learning_rate",
    ),
}


def problems(tuning, **sections):
    values = {
        "task": "nli",
        "data": {"training_data": "azureml:rows:1"},
        "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek-v3"}]},
        "student": {"model": "phi-4-mini"},
        **sections,
    }
    with pytest.raises(SpecError) as error:
        DistillationJob.model_validate({**values, "tuning": tuning})
    return error.value.problems


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_search_space_is_a_problem_of_its_field(wrong):
    tuning, code, field = WRONG[wrong]
    (problem,) = problems(tuning)
    assert (problem.code, problem.field) == (code, ("tuning", "search_space", field))


def test_settings_that_a_sweep_loses_are_problems():
    compute = {"gpu_instance_type": "Standard_NC48ads_A100_v4", "environment_variables": {"A": "b"}}
    fields = [problem.field for problem in problems({"search_space": {"num_epochs": [1, 2]}}, compute=compute)]
    assert fields == [("compute", "train_processes"), ("compute", "environment_variables")]
