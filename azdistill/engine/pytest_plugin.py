"""A pytest fixture that runs Azure ML pipelines. It is there wherever azdistill is installed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.local.engine import run_pipeline
from azdistill.engine.local.results import RunResult


@pytest.fixture
def run_azureml_pipeline(tmp_path: Path) -> Callable[..., RunResult]:
    """Run a pipeline file in a folder of this test; a node that fails fails the test, with its log's last lines.

    It takes what `run_pipeline` takes, but for the folders, and returns the same::

        def test_the_model_is_written(run_azureml_pipeline):
            result = run_azureml_pipeline("pipeline.yml", inputs={"epochs": "1"})
            assert (result.outputs["train", "model"] / "model.pkl").is_file()

    A second call in the same test reuses what has not changed.
    """

    def run(pipeline: str | Path, **options: Any) -> RunResult:
        result = run_pipeline(Path(pipeline), tmp_path / "run", home=tmp_path / "home", **options)
        result.check()
        return result

    return run
