"""Sweep jobs as data: distributions, sampling, early termination and limits."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.checks import pipeline_problems, require_runnable, validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.search_space import Choice, Normal, Randint, Uniform
from azdistill.engine.pipeline.sweeps import Limits, Objective, Policy, Sampling, Sweep
from azdistill.engine.problems import Problem, dotted
from tests.engine.pipeline.examples import SPACE, SWEEP

DISTRIBUTIONS: dict[str, Any] = {
    "type: choice, values: [8, a, 0.5]": Choice((8, "a", 0.5)),
    "type: randint, upper: 5": Randint(5),
    "type: Uniform, min_value: 0, max_value: 1": Uniform(0, 1),
    "type: loguniform, min_value: -6, max_value: -1": Uniform(-6, -1, log=True),
    "type: quniform, min_value: 1, max_value: 9, q: 2": Uniform(1, 9, q=2),
    "type: qloguniform, min_value: 1, max_value: 9, q: 0.5": Uniform(1, 9, log=True, q=0.5),
    "type: normal, mu: 10, sigma: 3": Normal(10, 3),
    "type: lognormal, mu: 10, sigma: 3": Normal(10, 3, log=True),
    "type: qnormal, mu: 10, sigma: 3, q: 1": Normal(10, 3, q=1),
    'type: qlognormal, mu: "1e1", sigma: 3, q: 1': Normal(10, 3, log=True, q=1),
}

POLICIES = {
    "type: bandit, slack_factor: 0.1, evaluation_interval: 2, delay_evaluation: 5": Policy(
        "bandit", 2, 5, slack_factor=0.1
    ),
    "type: bandit, slack_amount: 0.1, evaluation_interval: 0": Policy("bandit", slack_amount=0.1),
    "type: median_stopping, delay_evaluation: 5": Policy("median_stopping", delay=5),
    "type: truncation_selection, truncation_percentage: 20": Policy("truncation_selection", percentage=20),
}


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.yml"


def write(path: Path, *changes: tuple[str, str]) -> None:
    """Write the valid sweep with some changes."""
    text = SWEEP
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after, 1)
    path.write_text(text, encoding="utf-8")


def read(path: Path, *changes: tuple[str, str]) -> Sweep:
    write(path, *changes)
    sweep = load_pipeline(path).nodes["tune"].sweep
    assert sweep is not None
    return sweep


def all_problems(path: Path) -> list[Problem]:
    """Problems, those of a local run included."""
    return pipeline_problems(load_pipeline(path))


def test_a_valid_sweep_is_read_and_can_run_locally(pipeline: Path) -> None:
    assert read(pipeline) == Sweep(
        space={"rate": Uniform(0.1, 0.9)},
        sampling=Sampling("random"),
        objective=Objective("eval_loss", "minimize"),
        policy=None,
        limits=Limits(4),
    )
    assert all_problems(pipeline) == []
    require_runnable(load_pipeline(pipeline))


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_each_distribution_is_read_and_has_a_text(pipeline: Path, text: str) -> None:
    distribution = read(pipeline, (SPACE, f"rate: {{{text}}}")).space["rate"]
    assert distribution == DISTRIBUTIONS[text]
    assert str(distribution).startswith(text.split(",")[0].removeprefix("type: ").lower() + "(")


@pytest.mark.parametrize("text", POLICIES)
def test_each_policy_is_read(pipeline: Path, text: str) -> None:
    assert read(pipeline, ("    limits", f"    early_termination: {{{text}}}\n    limits")).policy == POLICIES[text]
    assert all_problems(pipeline) == []


def test_limits_and_seed_are_read(pipeline: Path) -> None:
    more = "max_total_trials: 4, max_concurrent_trials: 2, timeout: 7200, trial_timeout: 600"
    sweep = read(pipeline, ("max_total_trials: 4", more), ("algorithm: random", "algorithm: {type: Random, seed: 7}"))
    assert (sweep.limits, sweep.sampling) == (Limits(4, 2, 7200, 600), Sampling(seed=7))


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("bayesian", "bayesian"), ("{type: random, rule: sobol, seed: 3}", "sobol")]
)
def test_sampling_that_only_azure_has_is_a_warning_of_a_local_run(pipeline: Path, algorithm: str, kind: str) -> None:
    sweep = read(pipeline, ("algorithm: random", f"algorithm: {algorithm}"))
    assert (sweep.sampling.kind, sweep.sampling.azure_kind) == ("random", kind)
    (problem,) = all_problems(pipeline)
    assert (problem.code, problem.severity, problem.scope) == ("unsupported_locally", "warning", "local")
    assert dotted(problem.field) == "jobs.tune.sampling_algorithm"
    assert kind in problem.message
    assert validate_file(pipeline) == []


def test_bounds_that_do_not_look_like_exponents_are_a_warning(pipeline: Path) -> None:
    write(pipeline, (SPACE, "rate: {type: loguniform, min_value: 1.0e-5, max_value: 0.1}"))
    (problem,) = validate_file(pipeline)
    assert (problem.code, problem.severity, problem.value) == ("not_an_exponent", "warning", 1e-5)
    assert problem.message == "is an exponent of e: the search goes from 1.00001 to 1.10517"
    assert problem.fix == "write -11.51 to search from 1e-05"


def test_bayesian_sampling_accepts_the_distributions_documented_for_it(pipeline: Path) -> None:
    bayesian = ("algorithm: random", "algorithm: bayesian")
    write(pipeline, bayesian, (SPACE, "rate: {type: loguniform, min_value: -6, max_value: -1}"))
    (problem,) = validate_file(pipeline)
    assert (problem.code, dotted(problem.field)) == ("invalid_choice", "jobs.tune.search_space.rate.type")
    write(pipeline, bayesian, (SPACE, "rate: {type: quniform, min_value: 0, max_value: 1, q: 0.5}"))
    assert validate_file(pipeline) == []


def test_the_azure_sdk_accepts_the_sweeps_that_are_read_here(pipeline: Path) -> None:
    """Every distribution, each policy and a sampling algorithm with fields, through the client's schema."""
    from azure.ai.ml import load_job

    logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
    space = "".join(f"      i{number}: {{{text}}}\n" for number, text in enumerate(DISTRIBUTIONS))
    inputs = "".join(f"        i{number}: {{type: string}}\n" for number in range(len(DISTRIBUTIONS)))
    for policy in POLICIES:
        write(
            pipeline,
            (f"      {SPACE}\n", f"      {SPACE}\n{space}"),
            ("      inputs:\n", f"      inputs:\n{inputs}"),
            ("algorithm: random", "algorithm: {type: random, seed: 7, rule: sobol}"),
            ("    limits", f"    early_termination: {{{policy}}}\n    limits"),
        )
        job: Any = load_job(pipeline)
        assert job._validate().error_messages == {}
        assert validate_file(pipeline) == []


def test_a_trial_must_be_a_command(pipeline: Path) -> None:
    inner = "type: pipeline\njobs: {a: {command: 'true', environment: 'azureml:e:1'}}\n"
    (pipeline.parent / "inner.yml").write_text(inner)
    head, rest = SWEEP.split("    trial:\n")
    pipeline.write_text(f"{head}    trial: ./inner.yml\n{rest[rest.index('    inputs: {kernel') :]}")
    (problem,) = [problem for problem in all_problems(pipeline) if problem.code == "type_mismatch"]
    assert (dotted(problem.field), problem.value) == ("jobs.tune.trial", "./inner.yml")


def test_an_optional_input_in_the_search_space_has_a_value(pipeline: Path) -> None:
    required = ("$[[--fast ${{inputs.fast}}]]", "--fast ${{inputs.fast}}")
    write(pipeline, required)
    (problem,) = all_problems(pipeline)
    assert (problem.code, "inputs.fast" in problem.message) == ("optional_for_required", True)
    write(pipeline, required, (SPACE, f"{SPACE}\n      fast: {{type: choice, values: ['true', 'false']}}"))
    assert all_problems(pipeline) == []


def test_a_missing_mlflow_is_a_problem_of_a_local_run(pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(pipeline)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # makes an import of it fail
    with pytest.raises(PipelineError) as error:
        require_runnable(load_pipeline(pipeline))
    (problem,) = error.value.problems
    assert (problem.code, problem.command) == ("missing_package", "pip install 'azdistill[local]'")
    assert validate_file(pipeline) == []
