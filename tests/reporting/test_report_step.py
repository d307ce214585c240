"""The report step as a process."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema

from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.manifest import read_manifest
from azdistill.reporting.report import Report, report_schema


def run(folders: dict[str, Path], output: Path) -> subprocess.CompletedProcess[str]:
    ports = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    config = ["--title", "quickstart", "--registered-model", "support-student"]
    command = [sys.executable, "-m", "azdistill.steps.report", *ports, *config, "--report", str(output)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_writes_three_forms_and_says_the_headline(distil: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    done = run(distil(), tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("The student passed its gates.")
    assert set(read_manifest(tmp_path / "out").files) == {"report.html", "report.md", "report.json"}
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert Report.model_validate(written).title == "quickstart"
    jsonschema.validate(written, report_schema())


def test_a_missing_folder_is_one_line(distil: Callable[..., dict[str, Path]], tmp_path: Path) -> None:
    folders = distil()
    (folders["training"] / MANIFEST_FILE).unlink()
    done = run(folders, tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("report: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out" / MANIFEST_FILE).exists()
