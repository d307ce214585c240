"""Copies of the quickstart for tests and benchmarks: complete, and small with few rows and one epoch."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

QUICKSTART = Path(__file__).parents[1] / "pipelines" / "quickstart"
AZDISTILL = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]
SMALLER = {"num_epochs: 3": "num_epochs: 1", "max_new_tokens: 48": "max_new_tokens: 16"}
ROWS = {"training_data.jsonl": 300, "test_data.jsonl": 60}


def small_job(folder: Path, rows: Mapping[str, int] = ROWS) -> Path:
    """Write the job with its data and student into `folder`; returns the job file."""
    (folder / "data").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as generated:
        subprocess.run([sys.executable, QUICKSTART / "generate.py", "--out", generated], check=True)
        for name, count in rows.items():
            with Path(generated, name).open() as source:
                (folder / "data" / name).write_text("".join(itertools.islice(source, count)))
    shutil.copytree(QUICKSTART / "student", folder / "student")
    text = (QUICKSTART / "job.yaml").read_text()
    for before, after in SMALLER.items():
        assert before in text, before
        text = text.replace(before, after)
    (folder / "job.yaml").write_text(text)
    return folder / "job.yaml"


def quickstart_job(folder: Path) -> Path:
    """Copy the complete quickstart with new data into `folder`; returns the job file."""
    shutil.copytree(QUICKSTART, folder, ignore=shutil.ignore_patterns("data"))
    generator = [sys.executable, str(QUICKSTART / "generate.py"), "--out", str(folder / "data")]
    subprocess.run(generator, check=True, capture_output=True)
    return folder / "job.yaml"


def variables(home: Path, **extra: str) -> dict[str, str]:
    """Environment of a run with a separate home; one thread, so that concurrent runs do not slow each other down."""
    return {**os.environ, "AZDISTILL_HOME": str(home), "OMP_NUM_THREADS": "1", **extra}
