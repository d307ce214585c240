"""The pytest fixture as another project uses it: in its own test, in a separate pytest process."""

import subprocess
import sys
from pathlib import Path

PIPELINE_TESTS = """
import pytest

def test_it_says_hello(run_azureml_pipeline):
    result = run_azureml_pipeline("pipeline.yml", inputs={"word": "hello"})
    assert result.outputs["say", "out"].read_text() == "hello\\n"
    assert run_azureml_pipeline("pipeline.yml", inputs={"word": "hello"}).nodes["say"].state == "reused"

def test_it_breaks(run_azureml_pipeline):
    run_azureml_pipeline("pipeline.yml", inputs={"word": "hello; exit 7"})
"""

PIPELINE = """
inputs: {word: none}
jobs:
  say:
    command: echo ${{inputs.word}} > ${{outputs.out}}
    inputs: {word: "${{parent.inputs.word}}"}
    outputs: {out: {type: uri_file}}
"""

TEST_WITHOUT_THE_FIXTURE = """
import sys

def test_modules(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("azdistill")
    print("MODULES", *sys.modules)
"""


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_fixture_needs_no_import_and_a_failed_node_fails_the_test_with_its_log(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "test_pipeline.py").write_text(PIPELINE_TESTS)
    done = run_pytest(tmp_path)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "NodeFailed: node say exited with 7" in done.stdout


def test_a_test_run_that_does_not_use_the_fixture_imports_no_engine(tmp_path: Path) -> None:
    (tmp_path / "test_modules.py").write_text(TEST_WITHOUT_THE_FIXTURE)
    done = run_pytest(tmp_path, "-s")
    line = next(line for line in done.stdout.splitlines() if line.startswith("MODULES"))
    modules = set(line.split())
    own = {name for name in modules if name.partition(".")[0] == "azdistill"}
    assert own == {"azdistill", "azdistill.engine", "azdistill.engine.pytest_plugin"}
    assert not modules & {"yaml", "pydantic", "filelock", "pathspec", "mlflow"}
