"""A config becomes flags, and flags become a config."""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import Problem
from azdistill.contracts.step import Step, flag, parse, scalar_type

TRAIN_PORTS = ["--curated", "a", "--student", "b", "--model", "c", "--metrics", "d", "--checkpoints", "e"]
STEPS = ["prepare", "teacher", "curate", "train", "predict", "evaluate", "report", "register"]


def step_of(name: str) -> Step[Any]:
    step: Step[Any] = import_module(f"azdistill.contracts.{name}").STEP
    return step


def problem_of_argv(*argv: str) -> Problem:
    with pytest.raises(InputError) as error:
        parse(step_of("train"), [*TRAIN_PORTS, *argv])
    (problem,) = error.value.problems
    return problem


@pytest.mark.parametrize("name", STEPS)
def test_every_field_has_a_description(name: str) -> None:
    for field, info in step_of(name).config.model_fields.items():
        assert info.description, f"{name}.{field}"


def test_flags_become_a_config_and_ports() -> None:
    arguments = parse(step_of("train"), [*TRAIN_PORTS, "--learning-rate", "2e-4", "--num-epochs", "2"])
    assert arguments.config.learning_rate == 2e-4
    assert arguments.inputs == {"curated": Path("a"), "student": Path("b")}
    assert arguments.outputs["checkpoints"] == Path("e")


def test_a_nested_field_is_a_json_file(tmp_path: Path) -> None:
    gates = tmp_path / "gates.json"
    gates.write_text('{"min_retention": 0.5}')
    argv = [text for port in [*step_of("evaluate").inputs, "evaluation"] for text in (flag(port), "x")]
    assert parse(step_of("evaluate"), [*argv, "--gates", str(gates)]).config.gates.min_retention == 0.5
    assert scalar_type(step_of("evaluate").config.model_fields["gates"]) is None


def test_a_wrong_value_is_a_problem_of_its_field() -> None:
    problem = problem_of_argv("--learning-rate", "3")
    assert (problem.code, problem.field, problem.value) == ("out_of_range", ("learning_rate",), "3")
    assert problem.subject == "step train"


@pytest.mark.parametrize("flag", ["--learning-rte", "--num-epoch"])
def test_an_unknown_flag_is_a_problem(flag: str) -> None:
    problem = problem_of_argv(flag, "1")
    assert (problem.code, problem.command) == ("invalid_arguments", "python -m azdistill.steps.train --help")
    assert f"unrecognized arguments: {flag}" in problem.message
