"""docs/teachers.md agrees with the code. Its policies are tested in test_policy.py."""

import re
from pathlib import Path
from typing import get_args

import yaml

from azdistill.contracts.requests import Policy
from azdistill.contracts.rows import Completion
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.usage import UsageCounter

TEXT = (Path(__file__).parents[2] / "docs/teachers.md").read_text(encoding="utf-8")


def test_the_example_is_a_teacher_section():
    (example,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    config = TeacherConfig.model_validate(yaml.safe_load(example)["teacher"])
    assert [teacher.called for teacher in config.teachers] == ["small", "large"]


def test_the_page_lists_every_policy_and_uses_names_of_the_code():
    assert tuple(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE)) == get_args(Policy)
    assert f"accepts up to {TeacherConfig.model_fields['teachers'].metadata[1].max_length}" in TEXT
    outcomes = TEXT[TEXT.index("by outcome: ") :].split(".")[0].removeprefix("by outcome: ").split(", ")
    assert outcomes == [*UsageCounter().counts()["ledger"]]
    assert {"teacher", "sample", "usage", "key"} <= Completion.model_fields.keys()
