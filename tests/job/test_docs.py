"""The examples of docs/jobs.md are valid."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from azdistill.job.model import DistillationJob

TEXT = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    match = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert match
    return match[1]


def test_the_yaml_example_is_a_job() -> None:
    job = DistillationJob.model_validate(YAML(typ="safe", pure=True).load(block("yaml")))
    assert job.evaluate.gates.min_gain == 0.05


def test_the_python_example_is_a_job() -> None:
    names: dict[str, Any] = {}
    exec(block("python"), names)
    assert names["job"].teacher.temperature == 0.7
    assert not names["job"].evaluate.enforce_gates
