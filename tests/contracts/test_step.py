"""The one place where a config becomes flags, and flags a config."""

from importlib import import_module
from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.contracts.step import flag, parse, scalar_type

TRAIN_PORTS = ["--curated", "a", "--student", "b", "--model", "c", "--metrics", "d", "--checkpoints", "e"]
STEPS = ["prepare", "teacher", "curate", "train", "predict", "evaluate", "report", "register"]


def step_of(name: str):
    return import_module(f"azdistill.contracts.{name}").STEP


@pytest.mark.parametrize("name", STEPS)
def test_every_field_says_what_it_is_for(name: str) -> None:
    for field, info in step_of(name).config.model_fields.items():
        assert info.description, f"{name}.{field}"


def test_flags_become_a_config_and_ports() -> None:
    found = parse(step_of("train"), [*TRAIN_PORTS, "--learning-rate", "2e-4", "--num-epochs", "2"])
    assert found.config.learning_rate == 2e-4
    assert found.inputs == {"curated": Path("a"), "student": Path("b")}
    assert found.outputs["checkpoints"] == Path("e")


def test_a_nested_field_travels_in_a_file(tmp_path: Path) -> None:
    gates = tmp_path / "gates.json"
    gates.write_text('{"min_retention": 0.5}')
    argv = [part for port in [*step_of("evaluate").inputs, "evaluation"] for part in (flag(port), "x")]
    assert parse(step_of("evaluate"), [*argv, "--gates", str(gates)]).config.gates.min_retention == 0.5
    assert scalar_type(step_of("evaluate").config.model_fields["gates"]) is None


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--learning-rate", "3"], "learning_rate='3'"),
        (["--learning-rte", "1e-5"], "unrecognized arguments: --learning-rte"),
        (["--num-epoch", "2"], "unrecognized arguments: --num-epoch"),
    ],
)
def test_a_wrong_flag_is_an_input_error(argv: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        parse(step_of("train"), TRAIN_PORTS + argv)
