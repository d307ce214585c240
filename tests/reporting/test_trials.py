"""Trials of a sweep in the report, read from real MLflow runs such as those that the local engine makes."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.manifest import close_folder
from azdistill.engine.local.sweeps.tracking import TrialTracker
from azdistill.reporting import messages
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import Report, Trials
from azdistill.reporting.tables import trial_table
from azdistill.reporting.trials import read_trials

FIELDS = ["learning_rate", "method"]

# Learning rate, validation losses, status.
TRIALS = (
    ("0.0001", (0.9, 0.5), "FINISHED"),
    ("3.1234e-05", (0.9, 0.4), "FINISHED"),
    ("0.01", (0.9, float("nan")), "FAILED"),
    ("0.001", (0.9,), "KILLED"),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    """The address of a database, and the ids of the runs of a sweep's trials. Another sweep is in it, too."""
    from mlflow.tracking import MlflowClient

    address = f"sqlite:///{tmp_path_factory.mktemp('mlflow').as_posix()}/mlflow.db"
    tracker = TrialTracker({"MLFLOW_TRACKING_URI": address}, "train")
    client, runs = MlflowClient(tracking_uri=address), []
    for trials in (TRIALS[:1], TRIALS):
        parent = tracker.open_sweep("train", [])
        runs = [tracker.open(f"train/{number}", {}, "", parent) for number in range(len(trials))]
        for run, (rate, losses, status) in zip(runs, trials, strict=True):
            client.log_param(run, "learning_rate", rate)
            client.log_param(run, "method", "lora")
            for step, loss in enumerate(losses):
                client.log_metric(run, "eval_loss", loss, step=step)
            tracker.close(run, status)
    assert tracker.open_sweep("train", runs) == parent
    return address, runs


def test_all_trials_are_read_with_values_objective_and_state(sweep: tuple[str, list[str]]) -> None:
    address, runs = sweep
    trials = read_trials(address, runs[1], FIELDS)
    assert [trial.run for trial in trials.trials] == runs
    assert [(trial.state, trial.objective) for trial in trials.trials] == [
        ("completed", 0.5),
        ("completed", 0.4),
        ("failed", None),
        ("ended early", 0.9),
    ]
    assert trials.trials[0].values == {"learning_rate": "0.0001", "method": "lora"}
    assert trials.best == trials.trials[1]
    table = trial_table(trials)
    assert table
    assert (table.columns[3:], table.best) == (("learning_rate", "method"), 1)
    assert table.rows[1] == ("2 (best)", "completed", "0.4000", "3.12e-05", "lora")


@pytest.mark.parametrize(("address", "run"), [(None, "a"), ("same", None), ("same", "unknown"), ("bad://h:pw@x", "a")])
def test_without_mlflow_the_trials_are_unknown(
    sweep: tuple[str, list[str]], address: str | None, run: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    trials = read_trials(sweep[0] if address == "same" else address, run, FIELDS)
    assert trials == Trials(fields=tuple(FIELDS))
    assert trial_table(trials) is None
    assert "train/trials.json" in messages.trials_sentence(trials)
    assert "pw" not in caplog.text


@pytest.mark.slow
def test_the_report_step_shows_the_trials_in_every_form(
    sweep: tuple[str, list[str]], distil: Callable[..., dict[str, Path]], tmp_path: Path
) -> None:
    address, runs = sweep
    folders = distil()
    metrics = read_json(folders["training"] / "metrics.json") | {"mlflow_run": runs[1]}
    write_json(folders["training"] / "metrics.json", metrics)
    close_folder(folders["training"], "train", {})
    report = run_step(folders, tmp_path / "out", address)
    assert report.trials
    assert report.trials.best
    assert report.trials.best.number == 2
    page, text = html(report), markdown(report)
    for form in (page, text):
        assert "trial 2, with the lowest validation loss of 4 trials" in form
        assert form.count("3.12e-05") == 1
        assert "ended early" in form
    assert '<tr class="best"><th scope="row">2 (best)</th>' in page
    assert "Trials of the sweep" not in html(report.model_copy(update={"trials": None}))


def run_step(folders: dict[str, Path], output: Path, address: str) -> Report:
    ports = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    command: list[Any] = [sys.executable, "-m", "azdistill.steps.report", *ports, "--report", output]
    command += ["--swept-fields", ",".join(FIELDS)]
    subprocess.run(command, env={"MLFLOW_TRACKING_URI": address}, check=True, timeout=120)
    return Report.model_validate(json.loads((output / "report.json").read_text()))
