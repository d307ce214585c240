"""A sweep node read as data, and a sweep made wrong in one place: what is said, and where."""

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.pipeline.checks import findings
from azdistill.engine.pipeline.loading import read_pipeline
from azdistill.engine.pipeline.search_space import Choice, Normal, Randint, Uniform
from azdistill.engine.pipeline.sweeps import Limits, Objective, Policy, Sampling, Sweep
from azdistill.engine.pipeline.validation import check, validate
from azdistill.engine.yaml_document import read_document

PIPELINE = """\
type: pipeline
settings: {default_compute: "azureml:gpu"}
jobs:
  tune:
    type: sweep
    trial:
      command: >-
        python train.py --rate ${{inputs.rate}} --depth ${{inputs.depth}} --kernel ${{inputs.kernel}}
        $[[--fast ${{inputs.fast}}]] --out ${{outputs.model}}
      environment: azureml:sklearn-1.5:3
      inputs:
        rate: {type: number, min: 0, max: 1}
        depth: {type: integer, min: 1, max: 9, default: 3}
        kernel: {type: string, enum: [rbf, linear]}
        fast: {type: boolean, optional: true}
      outputs: {model: {type: uri_folder}}
    inputs: {kernel: rbf}
    search_space:
      rate: {type: uniform, min_value: 0.1, max_value: 0.9}
    sampling_algorithm: random
    objective: {goal: minimize, primary_metric: eval_loss}
    limits: {max_total_trials: 4}
"""
SPACE = "rate: {type: uniform, min_value: 0.1, max_value: 0.9}"
INT = "an integer from 1 to 1000"

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
def written(tmp_path: Path) -> Path:
    return tmp_path / "pipeline.yml"


def read(path: Path, *changes: tuple[str, str]) -> Sweep:
    write(path, *changes)
    sweep = read_pipeline(read_document(path, PipelineError, "pipeline file")).nodes["tune"].sweep
    assert sweep is not None
    return sweep


def write(path: Path, *changes: tuple[str, str]) -> None:
    text = PIPELINE
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after, 1)
    path.write_text(text, encoding="utf-8")


def told(path: Path) -> list[str]:
    """Findings, those for a local run alone too."""
    return [one.text for one in findings(read_pipeline(read_document(path, PipelineError, "pipeline file")))]


def test_a_right_sweep_has_no_finding_and_runs_here(written: Path) -> None:
    assert read(written) == Sweep(
        space={"rate": Uniform(0.1, 0.9)},
        sampling=Sampling("random"),
        objective=Objective("eval_loss", "minimize"),
        policy=None,
        limits=Limits(4),
    )
    assert told(written) == []
    check(read_pipeline(read_document(written, PipelineError, "pipeline file")))


@pytest.mark.parametrize("text", DISTRIBUTIONS)
def test_each_distribution_is_read_and_told_in_words(written: Path, text: str) -> None:
    found = read(written, (SPACE, f"rate: {{{text}}}")).space["rate"]
    assert found == DISTRIBUTIONS[text]
    assert str(found).startswith(text.split(",")[0].removeprefix("type: ").lower() + "(")


@pytest.mark.parametrize("text", POLICIES)
def test_each_policy_is_read(written: Path, text: str) -> None:
    assert read(written, ("    limits", f"    early_termination: {{{text}}}\n    limits")).policy == POLICIES[text]
    assert told(written) == []


def test_limits_and_seed_are_read(written: Path) -> None:
    more = "max_total_trials: 4, max_concurrent_trials: 2, timeout: 7200, trial_timeout: 600"
    sweep = read(written, ("max_total_trials: 4", more), ("algorithm: random", "algorithm: {type: Random, seed: 7}"))
    assert (sweep.limits, sweep.sampling) == (Limits(4, 2, 7200, 600), Sampling(seed=7))


@pytest.mark.parametrize(
    ("algorithm", "asked"), [("bayesian", "bayesian"), ("{type: random, rule: sobol, seed: 3}", "sobol")]
)
def test_what_is_drawn_in_another_way_here_is_said_to_those_who_run_here(
    written: Path, algorithm: str, asked: str
) -> None:
    sweep = read(written, ("algorithm: random", f"algorithm: {algorithm}"))
    assert (sweep.sampling.kind, sweep.sampling.asked) == ("random", asked)
    assert told(written) == [
        f"jobs.tune.sampling_algorithm: {asked} sampling is Azure ML's own; here values are drawn at random"
    ]
    assert validate(written) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("type: uniform", "type: unifrom",
         ("search_space.rate.type='unifrom': expected one of choice, randint, uniform, loguniform, quniform, "
         "qloguniform, normal, lognormal, qnormal, qlognormal")),
        ("min_value: 0.1, ", "", "search_space.rate.min_value: expected a number"),
        ("min_value: 0.1", "min_value: low", "search_space.rate.min_value='low': expected a number"),
        ("min_value: 0.1", "min_value: 0.95", "search_space.rate.min_value=0.95: more than max_value=0.9"),
        ("min_value: 0.1", "min_value: -0.1",
         "search_space.rate: uniform(-0.1, 0.9): expected at least 0"),
        ("max_value: 0.9", "max_value: 1.9", "search_space.rate: uniform(0.1, 1.9): expected at most 1"),
        ("type: uniform, min", "type: quniform, q: 0, min", "search_space.rate.q=0: expected more than 0"),
        (SPACE, "rate: {type: normal, mu: 0, sigma: -1}", "search_space.rate.sigma=-1: expected at least 0"),
        (SPACE, "rate: {type: choice, values: 0.1}",
         "search_space.rate.values=0.1: expected a list of values to choose from"),
        (SPACE, "rate: {type: choice, values: []}",
         "search_space.rate.values: expected a list of values to choose from"),
        (SPACE, "rate: {type: choice, values: [[1]]}",
         "search_space.rate.values: expected texts and numbers"),
        (SPACE, f"{SPACE}\n      fast: {{type: choice, values: [true, false]}}",
         "search_space.fast.values: Azure ML takes texts and numbers only; put true and false in quotes"),
        (SPACE, "rate: {type: choice, values: [0.1, high]}", "search_space.rate: 'high': expected number"),
        (SPACE, f"{SPACE}\n      depth: {{type: choice, values: [3, 10]}}",
         "search_space.depth: 10: expected at most 9"),
        (SPACE, f"{SPACE}\n      depth: {{type: uniform, min_value: 1, max_value: 9}}",
         ("search_space.depth: uniform(1, 9) gives fractions, and the input is an integer; give q: 1 to its q form, or "
         "write randint")),
        (SPACE, f"{SPACE}\n      fast: {{type: randint, upper: 2}}",
         "search_space.fast: randint(2) gives numbers, and the input is of type boolean"),
        (SPACE, "rate: {type: randint, upper: 2.5}",
         "search_space.rate.upper=2.5: expected a whole number of at least 1; it is left out itself"),
        (SPACE, "rate: {type: loguniform, min_value: 0, max_value: 1000}",
         "search_space.rate.max_value=1000: an exponent, of e; write 6.908 for 1000"),
        ("algorithm: random", "algorithm: grid",
         "search_space.rate.type='uniform': a grid takes choice only; write a choice, or sampling_algorithm: random"),
        ("algorithm: random", "algorithm: {type: random, rule: halton}",
         "sampling_algorithm.rule='halton': expected one of random, sobol"),
        ("algorithm: random", "algorithm: {type: random, seed: a}",
         "sampling_algorithm.seed='a': expected an integer"),
        ("{max_total_trials: 4}", "{}", f"limits.max_total_trials: required: {INT}"),
        ("total_trials: 4", "total_trials: 0", f"limits.max_total_trials=0: expected {INT}"),
        ("total_trials: 4", "total_trials: 1001", f"limits.max_total_trials=1001: expected {INT}"),
        ("trials: 4", "trials: 4, trial_timeout: 0", "limits.trial_timeout=0: expected an integer of at least 1"),
        ("trials: 4", "trials: 4, max_concurrent_trials: many",
         f"limits.max_concurrent_trials='many': expected {INT}"),
        ("    limits", "    early_termination: {type: hyperband}\n    limits",
         "early_termination.type='hyperband': expected one of bandit, median_stopping, truncation_selection"),
        ("    limits", "    early_termination: {type: bandit}\n    limits",
         "early_termination: a bandit has one of slack_factor and slack_amount, of more than 0"),
        ("    limits", "    early_termination: {type: truncation_selection}\n    limits",
         "early_termination.truncation_percentage: required: an integer from 1 to 99"),
        ("    limits", "    early_termination: {type: median_stopping, delay_evaluation: -1}\n    limits",
         "early_termination.delay_evaluation=-1: expected an integer of at least 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_value_and_the_next_move(
    written: Path, before: str, after: str, expected: str
) -> None:
    write(written, (before, after))
    (finding,) = [one for one in validate(written) if one.severity == "error"]
    assert finding.text.removeprefix("jobs.tune.").startswith(expected)
    assert finding.line > 4


def test_numbers_that_are_no_exponents_are_warned_about(written: Path) -> None:
    write(written, (SPACE, "rate: {type: loguniform, min_value: 1.0e-5, max_value: 0.1}"))
    (finding,) = validate(written)
    assert (finding.severity, finding.text) == (
        "warning",
        (
            "jobs.tune.search_space.rate.min_value=1e-5: an exponent, of e: it searches from 1.00001 to 1.10517; "
            "write -11.51 for 1e-05"
        ),
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("total_trials: 4", 'total_trials: "${{parent.inputs.trials}}"',
         ("limits.max_total_trials='${{parent.inputs.trials}}': Azure ML fills it in; write an integer from 1 to 1000 "
         "for a run here")),
        ("max_value: 0.9", 'max_value: "${{parent.inputs.trials}}"',
         ("search_space.rate.max_value='${{parent.inputs.trials}}': Azure ML fills it in; write a number for a run "
         "here")),
        (SPACE, "rate: {type: choice, values: [{a: 1}]}",
         "search_space.rate.values: a choice between mappings runs on Azure ML only; write out the values"),
        ("{model: {type: uri_folder}}", "{model: {type: uri_folder}, trials: {type: uri_folder}}",
         "trial: it has an output 'trials', and here its trials lie under that name"),
    ],
)  # fmt: skip
def test_what_azure_alone_runs_stops_a_local_run_only(written: Path, before: str, after: str, expected: str) -> None:
    write(written, (before, after), ("jobs:", "inputs: {trials: 4}\njobs:"))
    assert [one for one in validate(written) if one.severity == "error"] == []
    assert f"jobs.tune.{expected}" in told(written)


def test_bayesian_sampling_takes_the_distributions_that_azure_documents_for_it(written: Path) -> None:
    bayesian = ("algorithm: random", "algorithm: bayesian")
    write(written, bayesian, (SPACE, "rate: {type: loguniform, min_value: -6, max_value: -1}"))
    (finding,) = validate(written)
    assert finding.text.endswith("bayesian sampling takes choice, uniform and quniform only; write "
                                 "sampling_algorithm: random")  # fmt: skip


def test_azures_own_sdk_takes_what_is_read_here(written: Path) -> None:
    """Every distribution, each policy and a sampling algorithm with fields, through the schema of the real client."""
    from azure.ai.ml import load_job

    logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
    space = "".join(f"      i{number}: {{{text}}}\n" for number, text in enumerate(DISTRIBUTIONS))
    inputs = "".join(f"        i{number}: {{type: string}}\n" for number in range(len(DISTRIBUTIONS)))
    for policy in POLICIES:
        write(
            written,
            (f"      {SPACE}\n", f"      {SPACE}\n{space}"),
            ("      inputs:\n", f"      inputs:\n{inputs}"),
            ("algorithm: random", "algorithm: {type: random, seed: 7, rule: sobol}"),
            ("    limits", f"    early_termination: {{{policy}}}\n    limits"),
        )
        job: Any = load_job(written)
        assert job._validate().error_messages == {}
        assert validate(written) == []


def test_a_trial_that_is_no_command_is_told(written: Path) -> None:
    inner = "type: pipeline\njobs: {a: {command: 'true', environment: 'azureml:e:1'}}\n"
    (written.parent / "inner.yml").write_text(inner)
    head, rest = PIPELINE.split("    trial:\n")
    written.write_text(f"{head}    trial: ./inner.yml\n{rest[rest.index('    inputs: {kernel') :]}")
    assert "jobs.tune.trial='./inner.yml': no command component, and a sweep runs one" in told(written)


def test_an_optional_input_that_is_searched_has_a_value(written: Path) -> None:
    write(written, ("$[[--fast ${{inputs.fast}}]]", "--fast ${{inputs.fast}}"))
    assert "inputs.fast is optional and has no value" in told(written)[0]
    write(
        written,
        ("$[[--fast ${{inputs.fast}}]]", "--fast ${{inputs.fast}}"),
        (SPACE, f"{SPACE}\n      fast: {{type: choice, values: ['true', 'false']}}"),
    )
    assert told(written) == []


def test_a_machine_without_mlflow_is_told_before_anything_runs(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(written)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # as Python has it for a package that can't be imported
    with pytest.raises(PipelineError, match=r"jobs\.tune: a sweep asks mlflow for its metric: pip install"):
        check(read_pipeline(read_document(written, PipelineError, "pipeline file")))
    assert validate(written) == []
