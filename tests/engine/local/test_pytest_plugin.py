"""The fixture as another project has it: in a test of its own, in a pytest of its own."""

import subprocess
import sys
from pathlib import Path

TESTS = """
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


def test_it_is_there_without_being_asked_for_and_fails_a_test_with_the_log(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yml").write_text(PIPELINE)
    (tmp_path / "test_pipeline.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "NodeFailed: node say exited with 7" in done.stdout
