"""The README's commands and example are those that exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
VERBS = sorted(set(re.findall(r"^azdistill (\w+)", TEXT, re.MULTILINE)))


def test_the_targets_that_it_names_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z][a-z-]+)", TEXT)) - {"s"}
    assert {"quickstart", "test", "install"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_links_lead_somewhere() -> None:
    local = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if not link.startswith("http")]
    assert local
    assert [link for link in local if not (ROOT / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("verb", VERBS)
def test_its_commands_are_verbs(verb: str) -> None:
    command = [sys.executable, "-c", "from azdistill.cli.main import main; main()", verb, "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_its_python_is_a_job() -> None:
    names: dict[str, Any] = {}
    found = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert found
    exec(found[1], names)
    assert names["job"].task == "conversation"
