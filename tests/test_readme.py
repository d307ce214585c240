"""The README names only make targets, links and commands that exist, and its Python example runs."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
VERBS = sorted(set(re.findall(r"^azdistill (\w+)", TEXT, re.MULTILINE)))


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"make ([a-z][a-z-]+)", TEXT)) - {"s"}
    assert {"quickstart", "test", "install"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_local_links_exist() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", TEXT) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link.partition("#")[0]).exists()] == []


@pytest.mark.parametrize("verb", VERBS)
def test_commands_exist(verb: str) -> None:
    command = [sys.executable, "-c", "from azdistill.cli.main import main; main()", verb, "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_python_example_compiles_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("training_data.jsonl", "validation_data.jsonl"):
        Path(name).write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    names: dict[str, Any] = {}
    example = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert example
    exec(example[1], names)
    assert names["job"].task == "conversation"
    assert Path("bundle/pipeline.yml").is_file()
