"""A pytest fixture that runs Azure ML pipelines. pytest loads it wherever azdistill is installed.

The engine is imported when the fixture is used, so that other test runs do not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from azdistill.engine.local.results import RunResult


@pytest.fixture
def run_azureml_pipeline(tmp_path: Path) -> Callable[..., RunResult]:
    """A function that runs a pipeline file in a folder of this test. The test fails when a node fails.

    It accepts the options of `run_pipeline` except the folders, and returns its result::

        def test_the_model_is_written(run_azureml_pipeline):
            result = run_azureml_pipeline("pipeline.yml", inputs={"epochs": "1"})
            assert (result.outputs["train", "model"] / "model.pkl").is_file()

    A second call in the same test reuses the nodes that have not changed.
    """

    def run(pipeline: str | Path, **options: Any) -> RunResult:
        from azdistill.engine.local.engine import run_pipeline

        result = run_pipeline(Path(pipeline), tmp_path / "run", home=tmp_path / "home", **options)
        result.check()
        return result

    return run
