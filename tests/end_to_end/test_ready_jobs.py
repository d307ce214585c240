"""The jobs of pipelines/tasks: one for each task, with committed rows."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.task import OWN
from azdistill.job.loading import load_job
from azdistill.tasks.registry import TASKS
from tests.end_to_end.conftest import run
from tests.small_job import QUICKSTART

FOLDER = QUICKSTART.parent / "tasks"
JOBS = sorted(FOLDER.glob("*/job.yaml"))


def test_every_task_has_a_job() -> None:
    tasks = [load_job(job).task for job in JOBS]
    assert sorted(tasks) == sorted(TASKS.keys() - {OWN})
    assert tasks == [job.parent.name for job in JOBS]


def test_the_committed_rows_are_what_the_script_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, FOLDER / "generate.py", "--out", tmp_path], check=True)
    written = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    committed = [path.relative_to(FOLDER) for path in FOLDER.glob("*/*") if path.suffix in (".jsonl", ".csv")]
    assert sorted(written) == sorted(committed)
    for path in written:
        assert (tmp_path / path).read_bytes() == (FOLDER / path).read_bytes(), path


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("task", ["conversation", "qa"])
def test_a_ready_job_proves_its_student(tmp_path: Path, task: str) -> None:
    """`make tasks` runs all five."""
    for name in ("tasks", "quickstart"):
        shutil.copytree(FOLDER.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("data"))
    done = run(tmp_path / "tasks" / task / "job.yaml", "-o", tmp_path / "run", home=tmp_path / "home")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run/report/report/report.json").read_text())
    assert report["retention"]["value"] >= 0.9
    if task == "conversation":
        assert report["primary_metric"] == "sentence_chrf"
        predictions = (tmp_path / "run/predict_student/predictions/predictions.jsonl").read_text(encoding="utf-8")
        assert "zgârieturi" in predictions
