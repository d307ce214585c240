"""azdistill schedule: the real client with the simulated workspace."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from azure.ai.ml.entities._load_functions import load_schedule  # not among the public names

from tests.azure.test_verbs import azdistill, ready
from tests.cd.az_reference import commands_in_shell, problem_of
from tests.cli.conftest import folder
from tests.workspace.first_day import small_job
from tests.workspace.resources.datastores import BLOB_STORE

__all__ = ["azdistill", "folder", "ready"]

SIMULATED = {
    "teacher": {"teacher_route": "simulated", "teachers": [{"model": "t"}]},
    "simulation": {"t": {"expert": "support"}},
}
READY_JOB = Path(__file__).parents[2] / "pipelines/support/job.yaml"
TRAFFIC = "azureml://datastores/workspaceblobstore/paths/traffic/rows.jsonl"


@pytest.fixture
def job(folder: Path):
    """Write a job file, with some sections replaced."""

    def write(**sections: object) -> Path:
        path = folder / "job.yaml"
        path.write_text(yaml.safe_dump(small_job(folder, **sections)))
        return path

    return write


def test_each_run_trains_anew_and_has_to_beat_the_registered_student(azdistill, ready, job, workspace, folder):
    workspace.assets.put("models", "support", "3", {"modelType": "custom_model", "modelUri": f"{TRAFFIC}/model"})
    workspace.blobs.write(workspace.datastores.containers[BLOB_STORE], "traffic/rows.jsonl", b"{}")
    weekly = ("schedule", job(data={"training_data": TRAFFIC}), "--cron", "0  6 * * 1", "--set")
    weekly += ("student.baseline=azureml:support:3",)
    done = azdistill(*weekly, "--time-zone", "W. Europe Standard Time")
    assert done.code == 0, done.err
    assert "reuses results" not in done.err
    assert "schedule small: 0 6 * * 1 W. Europe Standard Time; bundles/small.schedule.yml\n" in done.out
    (command,) = (line.partition("stop it:")[2] for line in done.out.splitlines() if "stop it:" in line)
    assert [problem_of(words) for words in commands_in_shell(command)] == [""]
    created = workspace.schedules.by_name["small"]
    assert created["trigger"]["expression"] == "0 6 * * 1"
    assert created["trigger"]["timeZone"] == "W. Europe Standard Time"
    sent = created["action"]["jobDefinition"]
    assert sent["settings"]["force_rerun"] is True
    assert sent["inputs"]["baseline"]["uri"].endswith("/models/support/versions/3")
    assert azdistill(*weekly).code == 0  # replaces the schedule
    assert list(workspace.schedules.by_name) == ["small"]


def test_az_ml_creates_the_schedule_from_the_written_file(azdistill, job, workspace, folder):
    done = azdistill("schedule", job(), "--cron", "30 */6 * * *", "--write-only")
    assert done.out.splitlines()[1] == "create it with: az ml schedule create --file bundles/small.schedule.yml"
    assert "every run gets the rows of today" in done.err
    loaded = load_schedule(folder / "bundles/small.schedule.yml")
    assert (loaded.name, loaded.trigger.expression, loaded.trigger.time_zone) == ("small", "30 */6 * * *", "UTC")
    assert loaded.create_job.settings.force_rerun is True
    assert workspace.schedules.by_name == {}


def test_the_schedule_of_the_ready_job_is_one_command(azdistill, folder):
    text = READY_JOB.read_text()
    (command,) = re.findall(r"azdistill (schedule .*?)\n#\n", text, re.DOTALL)
    verb, path, *options = shlex.split(command.replace("\\\n#", ""))
    (folder / "job.yaml").write_text(text)
    assert path == "pipelines/support/job.yaml"
    done = azdistill(verb, "job.yaml", *options, "--set", f"data.test_data={TRAFFIC}", "--write-only")
    assert (done.code, "every run gets the rows of today" in done.err) == (0, False), done.err
    load_schedule(folder / "bundles/support-phi-4-mini.schedule.yml")
    inputs = yaml.safe_load((folder / "bundles/support-phi-4-mini/pipeline.yml").read_text())["inputs"]
    assert inputs["baseline"]["path"] == "azureml:support-phi-4-mini:1"
    assert inputs["training_data"]["type"] == "uri_folder"


@pytest.mark.parametrize(
    ("cron", "problem"),
    [
        ("weekly", "is not MINUTES HOURS DAYS MONTHS DAYS-OF-WEEK; for example '0 6 * * 1'"),
        ("0 6 1 * 1", "ignores days and months"),
        ("0 6 * 3 *", "ignores days and months"),
        ("0 six * * 1", "is not MINUTES"),
    ],
)
def test_an_expression_that_azure_ml_does_not_follow_is_refused(azdistill, job, cron, problem):
    done = azdistill("schedule", job(), "--cron", cron, "--write-only")
    assert (done.code, done.out) == (2, "")
    assert problem in done.err


def test_a_job_of_a_user_is_refused(azdistill, job):
    compute = {"cpu": "cpu-cluster", "gpu": "gpu-cluster", "identity": {"type": "user_identity"}}
    done = azdistill("schedule", job(compute=compute), "--cron", "0 6 * * mon,thu", "--write-only")
    assert (done.code, "compute.identity.type='user_identity': a schedule runs without a user" in done.err) == (2, True)


def test_a_simulated_teacher_is_refused(azdistill, job):
    done = azdistill("schedule", job(**SIMULATED), "--cron", "0 6 * * 1", "--write-only")
    assert done.code == 2
    assert "teacher.teacher_route='simulated': the simulated teacher runs on this machine" in done.err
