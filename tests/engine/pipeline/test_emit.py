"""Emitted YAML is read back with equal values and types by YAML 1.1 and 1.2 readers."""

from typing import Any

import pytest
import yaml as pyyaml
from ruamel.yaml import YAML

from azdistill.engine.pipeline.emit import to_yaml

VALUES: list[Any] = [
    2e-5, 1e20, 0.0, 0.1, -3.5, 1, 0, -7, True, False, None, "", "yes", "NO", "on", "y", "1", "1.0", "1e5", "2e-05",
    "012", "0x1f", "1_000", "12:30:45", "2026-11-24", "null", "~", "true", ".5", ".inf", "a: b", "a #b", "- a", "é",
    "two\nlines", "${{parent.inputs.rows}}", "$[[--x ${{inputs.x}}]]", "./inputs/a.json", "@at", "`tick", "'",
    '"', " a ",
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_keeps_its_type_and_content(value: Any) -> None:
    text = to_yaml({"key": value, "list": [value], "inner": {"key": value}})
    expected = {"key": value, "list": [value], "inner": {"key": value}}
    for document in (pyyaml.safe_load(text), YAML(typ="safe", pure=True).load(text)):
        assert document == expected
        assert type(document["key"]) is type(value)


def test_keys_keep_their_order_and_there_are_no_aliases() -> None:
    shared = {"b": [1], "a": 2}
    assert to_yaml({"z": shared, "x": shared}) == "z:\n  b:\n    - 1\n  a: 2\nx:\n  b:\n    - 1\n  a: 2\n"


def test_a_long_line_is_not_folded() -> None:
    command = "python -m x " + " ".join(f"--flag-{number} ${{{{inputs.f{number}}}}}" for number in range(60))
    assert to_yaml({"command": command}).splitlines() == [f"command: {command}"]
