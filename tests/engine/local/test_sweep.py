"""Sweep nodes: trials of shell commands, and metrics in a real MLflow database."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import Interrupted, NodeFailed
from azdistill.engine.local.sweeps.tracking import TrialTracker
from tests.engine.local.conftest import Project

# `log NAME VALUE [STEP]` for shell trials: a trial that imports mlflow takes seconds.
LOG = """\
log() {
  local message=$BOX/$MLFLOW_RUN_ID.$RANDOM
  echo "$1 $2 ${3:-0}" > $message.new; mv $message.new $message.metric
  while [ -e $message.metric ]; do sleep 0.02; done
}
"""

TRIAL = """\
type: command
inputs:
  rows: {type: uri_file}
  rate: {type: number}
  size: {type: integer, default: 8}
outputs: {model: {type: uri_folder}}
code: ./src
command: >-
  . ./log.sh;
  @WORK@
"""

PIPELINE = """\
inputs: {rows: {type: uri_file, path: ./rows.txt}}
jobs:
  tune:
    type: sweep
    trial: ./trial.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
    search_space:
      rate: {type: choice, values: [0.3, 0.1, 0.2]}
    sampling_algorithm: grid
    objective: {goal: minimize, primary_metric: eval_loss}
    limits: {max_total_trials: 10, max_concurrent_trials: 2}
  use:
    command: cat ${{inputs.model}}/* > ${{outputs.out}}
    inputs: {model: "${{parent.jobs.tune.outputs.model}}"}
    outputs: {out: {type: uri_file}}
"""

TRAIN = "cat ${{inputs.rows}} > ${{outputs.model}}/w; echo ${{inputs.rate}} >> ${{outputs.model}}/w"


class SweepProject(Project):
    """A sweep and a node that reads its model, with an existing MLflow database."""

    def __init__(self, root: Path, database: Path) -> None:
        super().__init__(root)
        self.home.mkdir()
        self.database, self.box = self.home / "mlflow.db", root / "box"
        shutil.copy(database, self.database)
        self.box.mkdir()
        self.write("rows.txt", "a\n")
        self.write("src/log.sh", LOG)
        self.write("pipeline.yml", PIPELINE)

    def trial(self, work: str) -> None:
        self.write("trial.yml", TRIAL.replace("@WORK@", work.replace("\n", "\n  ")))

    def change(self, before: str, after: str) -> None:
        text = self.pipeline.read_text()
        assert before in text
        self.write("pipeline.yml", text.replace(before, after))

    def run(self, **options: Any) -> Any:
        outer = {"BOX": str(self.box), "MLFLOW_RUN_ID": "of whoever runs this"}
        return super().run(variables=outer, **({"jobs": 2, "grace": 1} | options))

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.folder / "tune" / "trials.json").read_text())
        return summary

    @property
    def ends(self) -> list[str]:
        return [trial["state"] for trial in self.summary["trials"]]

    @property
    def log(self) -> str:
        return (self.folder / "tune" / "log.txt").read_text()


def address(database: Path) -> str:
    return f"sqlite:///{database.as_posix()}"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, which MLflow takes seconds to create."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    TrialTracker({"MLFLOW_TRACKING_URI": address(path)}, "first")
    return path


def test_a_tracker_changes_no_log_level_and_no_variable(database: Path) -> None:
    def state() -> dict[str, object]:
        levels = {name: logging.getLogger(name).level for name in ("", "mlflow", "alembic", "sqlalchemy")}
        return levels | {"environment": dict(os.environ)}

    import mlflow.tracking  # noqa: F401  # sets its own log levels

    before = state()
    TrialTracker({"MLFLOW_TRACKING_URI": address(database)}, "another")
    assert state() == before


@pytest.fixture
def tuning(tmp_path: Path, database: Path) -> Iterator[SweepProject]:
    """A sweep project. A thread of this process logs to MLflow what shell trials write to a folder."""
    from mlflow.tracking import MlflowClient

    project, done = SweepProject(tmp_path, database), threading.Event()
    client = MlflowClient(tracking_uri=address(project.database))

    def deliver() -> None:
        while not done.wait(0.02):
            for message in project.box.glob("*.metric"):
                name, value, step = message.read_text().split()
                client.log_metric(message.name.partition(".")[0], name, float(value), step=int(step))
                message.unlink()

    postman = threading.Thread(target=deliver)
    postman.start()
    yield project
    done.set()
    postman.join()


def test_the_next_node_reads_the_model_of_the_best_trial(tuning: SweepProject) -> None:
    tuning.trial(f"{TRAIN}; log eval_loss $AZUREML_SWEEP_rate 2; log eval_loss 9 1")
    tuning.run().check()
    assert tuning.text("use") == "a\n0.1\n"
    assert (tuning.summary["best"], tuning.ends) == (2, ["completed"] * 3)
    assert [(trial["values"], trial["metric"]) for trial in tuning.summary["trials"]] == [
        ({"rate": rate}, rate) for rate in (0.3, 0.1, 0.2)
    ]
    assert tuning.log.splitlines()[-5:-1] == [
        "trial  state      eval_loss  seconds  rate",
        *(
            f"{trial['number']}      completed  {trial['metric']}        {trial['seconds']:<7.1f}  {trial['metric']}"
            for trial in tuning.summary["trials"]
        ),
    ]
    assert tuning.log.endswith("azdistill: trial 2 is the best of 3: eval_loss=0.1\n")
    assert tuning.states() == {"tune": "reused", "use": "reused"}


def test_each_trial_has_its_own_run_in_an_experiment_named_like_the_sweep(tuning: SweepProject) -> None:
    from mlflow.tracking import MlflowClient

    tuning.trial(f"{TRAIN}; log eval_loss $AZUREML_SWEEP_rate; [ $AZUREML_SWEEP_rate != 0.2 ]")
    tuning.run().check()
    client = MlflowClient(tracking_uri=address(tuning.database))
    runs = {trial["number"]: client.get_run(trial["run"]) for trial in tuning.summary["trials"]}
    assert [run.info.status for run in runs.values()] == ["FINISHED", "FINISHED", "FAILED"]
    assert {run.info.experiment_id for run in runs.values()} == {client.get_experiment_by_name("tune").experiment_id}
    parents = {run.data.tags["mlflow.parentRunId"] for run in runs.values()}
    assert len(parents) == 1
    assert client.get_run(parents.pop()).info.run_name == "tune"
    assert (runs[1].info.run_name, runs[1].data.tags["hyperparameters"]) == ("tune/1", '{"rate": 0.3}')
    assert runs[1].info.artifact_uri.startswith(str(tuning.home / "mlruns"))


@pytest.mark.slow
def test_mlflow_in_a_trial_logs_to_the_run_of_the_trial(tuning: SweepProject) -> None:
    """The only test with a trial that imports mlflow, which takes seconds."""
    tuning.write("src/train.py", "import sys, mlflow\nmlflow.log_metric('eval_loss', float(sys.argv[1]))\n")
    tuning.trial(f"{TRAIN}; python train.py ${{{{inputs.rate}}}}")
    tuning.change("[0.3, 0.1, 0.2]", "[0.1]")
    tuning.run().check()
    assert [trial["metric"] for trial in tuning.summary["trials"]] == [0.1]
    assert tuning.text("use") == "a\n0.1\n"


def test_concurrent_trials_are_limited_by_the_sweep_and_by_jobs(tuning: SweepProject) -> None:
    tuning.trial(f"echo + >> {tuning.root}/now; sleep 0.2; echo - >> {tuning.root}/now; {TRAIN}; log eval_loss 1")
    for concurrent, jobs, together in ((2, 4, 2), (3, 1, 1)):
        tuning.write("now", "")
        tuning.write("pipeline.yml", PIPELINE.replace("concurrent_trials: 2", f"concurrent_trials: {concurrent}"))
        tuning.run(jobs=jobs).check()
        counts, running = [], 0
        for sign in (tuning.root / "now").read_text().split():
            running += 1 if sign == "+" else -1
            counts.append(running)
        assert (max(counts), len(counts)) == (together, 6)


def test_a_trial_has_its_own_working_folder_output_and_log(tuning: SweepProject) -> None:
    has_own = '[ "$(python -c "import sys; print(sys.prefix)")" = $(dirname ${{outputs.model}})/.environment ]'
    tuning.trial(f"ls; touch scratch; echo rate $AZUREML_SWEEP_rate; {TRAIN}; {has_own} && log eval_loss 1")
    tuning.run().check()
    for number, rate in enumerate((0.3, 0.1, 0.2), 1):
        folder = tuning.folder / "tune" / "trials" / str(number)
        assert (folder / "log.txt").read_text() == f"log.sh\nlogs\noutputs\nrate {rate}\n"
        assert (folder / "model" / "w").read_text() == f"a\n{rate}\n"


def test_a_failed_trial_is_no_candidate_and_does_not_end_others(tuning: SweepProject) -> None:
    tuning.trial(f"{TRAIN}; log eval_loss $AZUREML_SWEEP_rate; [ $AZUREML_SWEEP_rate != 0.1 ]")
    tuning.run().check()
    assert (tuning.summary["best"], tuning.ends) == (3, ["completed", "failed", "completed"])
    assert "trial 2 failed with 1 after" in tuning.log


def test_when_all_trials_fail_the_node_fails_with_the_first_log_and_retries_them(tuning: SweepProject) -> None:
    tuning.trial(f"echo x >> {tuning.root}/tries; echo no such kernel; exit 7")
    with pytest.raises(NodeFailed) as problem:
        tuning.run().check()
    log = tuning.folder / "tune" / "trials" / "1" / "log.txt"
    assert "node tune exited with 7\n" in str(problem.value)
    assert f"node tune/trials/1 exited with 7\n  |   | no such kernel\n  |   log: {log}" in str(problem.value)
    tuning.run()
    assert (tuning.root / "tries").read_text() == "x\n" * 6
    assert log.read_text() == "no such kernel\n"


def test_a_missing_metric_is_reported_with_the_logged_ones(tuning: SweepProject) -> None:
    tuning.trial(f"{TRAIN}; log loss 1; log accuracy 2")
    node = tuning.run().nodes["tune"]
    assert (node.state, node.exit_code) == ("failed", 1)
    assert tuning.log.splitlines()[-1] == (
        "azdistill: no trial logged 'eval_loss'; logged: accuracy, loss; call mlflow.log_metric('eval_loss', ...) in "
        "the trial, or set objective.primary_metric to another metric"
    )


def test_a_trial_with_a_nan_metric_is_no_candidate(tuning: SweepProject) -> None:
    tuning.trial(f"{TRAIN}; [ $AZUREML_SWEEP_rate = 0.3 ] && log eval_loss 0.3 || log eval_loss nan")
    tuning.run().check()
    assert tuning.summary["best"] == 1
    assert [trial["metric"] for trial in tuning.summary["trials"]] == [0.3, None, None]


def test_a_policy_ends_a_trial_that_falls_behind(tuning: SweepProject) -> None:
    tuning.change("    limits:", "    early_termination: {type: bandit, slack_amount: 0.5}\n    limits:")
    tuning.change("[0.3, 0.1, 0.2]", "[0.1, 0.9]")
    tuning.trial(f"{TRAIN}; log eval_loss $AZUREML_SWEEP_rate; [ $AZUREML_SWEEP_rate = 0.1 ] || sleep 60")
    started = time.monotonic()
    tuning.run().check()
    assert time.monotonic() - started < 30
    assert (tuning.summary["best"], tuning.ends) == (1, ["completed", "terminated"])
    assert "(bandit at interval 1: its best value, 0.9, is too far from 0.1)" in tuning.log


def test_a_trial_ends_at_its_timeout_and_the_others_continue(tuning: SweepProject) -> None:
    tuning.change("max_concurrent_trials: 2", "max_concurrent_trials: 1, trial_timeout: 1")
    tuning.trial(f"[ $AZUREML_SWEEP_rate = 0.3 ] && sleep 60; {TRAIN}; log eval_loss $AZUREML_SWEEP_rate")
    tuning.run().check()
    assert (tuning.summary["best"], tuning.ends) == (2, ["timed out", "completed", "completed"])


def test_a_sweep_that_times_out_uses_the_best_completed_trial(tuning: SweepProject) -> None:
    tuning.change("max_concurrent_trials: 2", "max_concurrent_trials: 1, timeout: 2")
    tuning.trial(f"[ $AZUREML_SWEEP_rate = 0.1 ] && sleep 60; {TRAIN}; log eval_loss $AZUREML_SWEEP_rate")
    tuning.run().check()
    assert (tuning.summary["best"], tuning.ends) == (1, ["completed", "canceled", "waiting"])
    assert "azdistill: ended after limits.timeout=2 seconds, with 1 of 3 trials done\n" in tuning.log
    assert tuning.text("use") == "a\n0.3\n"


def test_a_sweep_that_times_out_without_a_result_fails(tuning: SweepProject) -> None:
    tuning.change("max_concurrent_trials: 2", "timeout: 1")
    tuning.trial("sleep 60")
    node = tuning.run().nodes["tune"]
    assert (node.state, node.exit_code) == ("failed", 124)


def test_an_interrupted_sweep_continues_with_the_trials_that_are_not_done(tuning: SweepProject) -> None:
    """The second trial ends the engine; it continues in its folder and in its MLflow run, as a preempted job does."""
    tuning.change("max_concurrent_trials: 2", "max_concurrent_trials: 1")
    tuning.trial(f"""\
echo $AZUREML_SWEEP_rate $MLFLOW_RUN_ID $AZUREML_RUN_ID >> {tuning.root}/tries;
if [ $AZUREML_SWEEP_rate = 0.1 ] && [ ! -e ${{{{outputs.model}}}}/checkpoint ]; then
touch ${{{{outputs.model}}}}/checkpoint; kill -TERM {os.getpid()}; sleep 60; fi;
{TRAIN}; log eval_loss $AZUREML_SWEEP_rate""")
    with pytest.raises(Interrupted):
        tuning.run()
    tuning.run().check()
    tries = [line.split() for line in (tuning.root / "tries").read_text().splitlines()]
    assert [rate for rate, _, _ in tries] == ["0.3", "0.1", "0.1", "0.2"]
    assert all(run == job for _, run, job in tries)
    assert len({run for _, run, _ in tries}) == 3
    assert "azdistill: 1 of 3 trials are done since an earlier attempt\n" in tuning.log
    assert (tuning.summary["best"], tuning.ends) == (2, ["completed"] * 3)


def test_a_sweep_of_distributed_trials_in_a_pipeline_component_writes_a_fixed_address(tuning: SweepProject) -> None:
    inner = PIPELINE[: PIPELINE.index("  use:")].replace("{type: uri_file, path: ./rows.txt}", "{type: uri_file}")
    more = '    outputs: {model: "${{parent.outputs.best}}"}\n'
    tuning.write("inner.yml", f"type: pipeline\noutputs: {{best: {{type: uri_folder}}}}\n{inner}{more}")
    tuning.write("pipeline.yml", """
inputs: {rows: {type: uri_file, path: ./rows.txt}}
outputs: {best: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/blob/paths/best"}}
jobs:
  outer:
    type: pipeline
    component: ./inner.yml
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {best: "${{parent.outputs.best}}"}
""")  # fmt: skip
    tuning.trial("echo $WORLD_SIZE > ${{outputs.model}}/$RANK.$AZUREML_SWEEP_rate; log eval_loss $AZUREML_SWEEP_rate")
    text = (tuning.root / "trial.yml").read_text()
    tuning.write("trial.yml", f"{text}distribution: {{type: pytorch, process_count_per_instance: 2}}\n")
    shared = tuning.home / "datastores" / "blob" / "best"
    shared.mkdir(parents=True)
    (shared / "theirs").write_text("kept")
    tuning.run().check()
    assert {path.name: path.read_text() for path in shared.iterdir()} == {
        "theirs": "kept", "0.0.1": "2\n", "1.0.1": "2\n",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("[0.3, 0.1, 0.2]", "[0.3, 0.1]",
         "setting search_space.rate: choice(0.3, 0.1, 0.2) -> choice(0.3, 0.1)"),
        ("sampling_algorithm: grid", "sampling_algorithm: random",
         "setting sampling_algorithm: grid -> random, seed 0"),
        ("goal: minimize", "goal: maximize", "setting objective: minimize eval_loss -> maximize eval_loss"),
        ("max_total_trials: 10", "max_total_trials: 2",
         "setting limits: 10 trials, 2 concurrent -> 2 trials, 2 concurrent"),
        ("    limits:", "    early_termination: {type: bandit, slack_factor: 0.1, delay_evaluation: 5}\n    limits:",
         "setting early_termination: none -> bandit slack_factor 0.1 every 1 from 5"),
    ],
)  # fmt: skip
def test_settings_of_a_sweep_count_for_reuse(tuning: SweepProject, before: str, after: str, reason: str) -> None:
    tuning.trial(f"{TRAIN}; log eval_loss 1")
    tuning.run().check()
    tuning.change(before, after)
    assert tuning.explain()["tune"].reasons == (reason,)


def test_all_trials_end_when_mlflow_fails(tuning: SweepProject) -> None:
    began = tuning.root / "began"  # the second trial, so that there is one to end
    work = f"if [ $AZUREML_SWEEP_rate = 0.3 ]; then while [ ! -e {began} ]; do sleep 0.02; done; : > {tuning.database};"
    tuning.trial(f"{work} else touch {began}; sleep 60; fi")
    node = tuning.run().nodes["tune"]
    assert (node.state, node.exit_code) == ("failed", 1)
    assert node.seconds < 30
    assert "check it and run again to continue" in tuning.log


def test_a_failing_tracking_server_fails_the_node_without_printing_its_address(tuning: SweepProject) -> None:
    tuning.trial(TRAIN)
    with tuning.database.open("wb") as stream:
        stream.write(b"no database" * 100)
    node = tuning.run().nodes["tune"]
    assert (node.state, node.exit_code) == ("failed", 1)
    assert "azdistill: the MLflow server of $MLFLOW_TRACKING_URI failed with MlflowException" in tuning.log
    assert str(tuning.home) not in tuning.log
