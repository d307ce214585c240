"""From a job file to a student that is measured against its teacher, all steps real, on few rows."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from huggingface_hub import ModelCard

from azdistill.contracts.manifest import read_manifest
from tests.end_to_end.conftest import GENERAL_ROWS, run
from tests.small_job import AZDISTILL, variables

pytestmark = pytest.mark.slow

NODES = (
    *("prepare", "regression", "teacher", "curate", "train", "predict_student", "predict_baseline", "evaluate"),
    "report",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def first(job: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run whose student is refused: 300 rows teach it little."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    return folder, run(job, "-o", folder, home=home)


def metrics(folder: Path) -> Any:
    return json.loads((folder / "evaluate" / "evaluation" / "metrics.json").read_text())


def test_an_unproven_student_is_refused_with_its_report(first: tuple[Path, Any], home: Path) -> None:
    folder, done = first
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr
    assert "the student is refused and is not registered: gate min_retention=0.92 refused" in done.stderr
    assert "retention" in done.stdout
    assert f"chat with the student:  azdistill chat {folder}" in done.stdout
    assert (folder / "report" / "report" / "report.html").stat().st_size > 10_000
    assert not (folder / "register" / "registration" / "manifest.json").exists()
    assert not (home / "mlflow.db").exists(), "a refused student leaves nothing in the registry"


def test_the_report_has_the_settings_of_every_step(first: tuple[Path, Any]) -> None:
    folder, _ = first
    steps = json.loads((folder / "report/report/report.json").read_text())["steps"]
    assert set(steps) == {*NODES} - {"report"}
    assert steps["train"]["provenance"]["config"]["learning_rate"] > 0
    assert steps["teacher"]["provenance"]["config"]["teachers"][0]["model"] == "DeepSeek-V3.2"
    assert {"python", "torch", "transformers"} <= steps["train"]["provenance"]["versions"].keys()
    assert len(steps["train"]["provenance"]["code"]) == 64
    assert steps["train"]["provenance"]["data"]["student"]
    assert steps["prepare"]["provenance"]["data"]["training_data"]


def test_the_manifest_of_every_folder_lists_its_files(first: tuple[Path, Any]) -> None:
    folder, _ = first
    outputs = {node: [path.parent for path in (folder / node).glob("*/manifest.json")] for node in NODES}
    assert all(outputs.values()), outputs
    for path in (path for paths in outputs.values() for path in paths):
        assert read_manifest(path).files


def test_every_row_is_a_completion_or_a_reject(first: tuple[Path, Any]) -> None:
    """The faults of the simulated teacher cost retries, and the content filter some rows; the rest arrives once."""
    folder, _ = first
    completions = (folder / "teacher/completions/completions.jsonl").read_text().splitlines()
    rejects = [json.loads(line) for line in (folder / "teacher/completions/rejects.jsonl").read_text().splitlines()]
    usage = json.loads((folder / "teacher/completions/usage.json").read_text())
    assert len(completions) + len(rejects) == 360
    assert len({json.loads(line)["id"] for line in completions}) == len(completions)
    assert {reject["reason"] for reject in rejects} <= {"content_filter"}
    assert usage["retries"]


def test_a_row_can_be_followed_from_its_file_to_its_scores(first: tuple[Path, Any]) -> None:
    folder, _ = first
    shown = subprocess.run([*AZDISTILL, "data", "show", folder, "test_data.jsonl:1"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    for text in ("DeepSeek-V3.2 (simulated)", "bought: by this run", "student (accuracy ", "similarity 0."):
        assert text in shown.stdout


def test_regression_suites_are_answered_by_student_and_baseline_alone(first: tuple[Path, Any]) -> None:
    folder, _ = first
    counts = read_manifest(folder / "regression/regressions").counts
    assert counts["rows"] == {"general": GENERAL_ROWS - 1, "unsafe": 10}
    assert counts["leaked"] == 1
    ids = {json.loads(line)["id"] for line in (folder / "regression/regressions/suites.jsonl").read_text().splitlines()}
    for node in ("student", "baseline"):
        lines = (folder / f"predict_{node}" / "predictions" / "suites.jsonl").read_text().splitlines()
        assert {json.loads(line)["id"] for line in lines} == ids
    for file in (
        "prepare/prompts/prompts.jsonl",
        "teacher/completions/completions.jsonl",
        "curate/curated/train.jsonl",
    ):
        assert not [identity for identity in ids if identity in (folder / file).read_text()]
    general, unsafe = metrics(folder)["regressions"]
    assert (general["metric"], general["rows"], unsafe["rows"]) == ("f1", GENERAL_ROWS - 1, 10)
    gates = {gate["name"] for gate in json.loads((folder / "evaluate/evaluation/gate.json").read_text())["gates"]}
    assert {name for name in gates if "regression" in name} == {"min_regression_general"}
    assert "Regression suites" in (folder / "report/report/report.md").read_text()


def test_a_student_is_registered_when_gates_are_not_enforced(job: Path, first: tuple[Path, Any], home: Path) -> None:
    folder, _ = first
    done = run(job, "-o", folder, "--set", "inputs.enforce_gates=false", home=home)
    assert done.returncode == 0, done.stderr
    states = {
        line.split(":")[0]: line.split(": ")[1].split(" ")[0] for line in done.stderr.splitlines() if ": " in line
    }
    assert {node for node, state in states.items() if state == "reused"} == set(NODES) - {"evaluate", "report"}
    lineage = json.loads((folder / "register" / "registration" / "lineage.json").read_text())
    assert (lineage["registered_model"], lineage["version"]) == ("support-student", 1)
    assert set(lineage["steps"]) == {"prepare", "teacher", "curate", "train", "evaluate"}
    assert lineage["steps"]["train"]["provenance"]["config"]["learning_rate"] > 0
    card = ModelCard.load(folder / "register" / "registration" / "README.md")
    assert "accuracy" in {result.metric_type for result in card.data.eval_results}
    assert "training\\_data.jsonl" in card.content
    registry = f"sqlite:///{home}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=registry, registry_uri=registry)
    assert client.get_model_version("support-student", "1").tags["azdistill.teacher"] == "DeepSeek-V3.2"


def test_the_same_seed_gives_the_same_metrics_after_a_kill_in_training(
    job: Path, first: tuple[Path, Any], tmp_path: Path
) -> None:
    """Another folder, another home, and the engine killed with SIGKILL once the trainer has begun."""
    folder, home = tmp_path / "second", tmp_path / "home"
    engine = subprocess.Popen(
        [*AZDISTILL, "run", str(job), "-o", str(folder)], env=variables(home), stderr=subprocess.DEVNULL
    )
    wait_for(folder / "train" / "log.txt", "rows,")
    engine.send_signal(signal.SIGKILL)
    engine.wait()
    done = run(job, "-o", folder, home=home)
    assert done.returncode == 3, done.stderr
    assert "teacher: reused" in done.stderr
    assert metrics(folder) == metrics(first[0])


def wait_for(log: Path, text: str, longest_s: float = 90) -> None:
    ends = time.monotonic() + longest_s
    while time.monotonic() < ends:
        if log.is_file() and text in log.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise AssertionError(f"{log} never said {text!r}")


def test_an_endpoint_that_refuses_the_key_is_one_clear_message(job: Path, tmp_path: Path) -> None:
    command = [AZDISTILL[0], "-m", "azdistill.simulate", "--with-parent", "--key-variable", "RIGHT_KEY"]
    known = variables(tmp_path, RIGHT_KEY="right")
    server = subprocess.Popen(command, env=known, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = server.stdout.readline().strip()
        spec = job.with_name("refused.yaml")
        text = job.read_text().replace("teacher_route: simulated", "teacher_route: endpoint")
        spec.write_text(text.replace("connection: deepseek-v3", f"endpoint: {url}\n      key_variable: MY_KEY #"))
        done = run(spec, "-o", tmp_path / "run", "--until", "teacher", home=tmp_path / "home", MY_KEY="wrong-key")
    finally:
        server.communicate(timeout=10)
    assert done.returncode == 1
    assert "node teacher exited with 1" in done.stderr
    assert "401" in done.stderr
    assert "MY_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-key" not in done.stdout + done.stderr + "".join(
        path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".db"
    )
