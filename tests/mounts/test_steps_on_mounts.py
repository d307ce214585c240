"""All steps of a job through real mounts, each on a separate node, compared with the same steps on a local disk."""

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.simulation import Simulation
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from azdistill.simulate.serving import EXPERTS
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.training.checkpoints import MARKER
from tests.mounts.bundle_steps import BUNDLE, LONGEST_S, BundleSteps, finish
from tests.small_job import small_job
from tests.teacher.conftest import serving
from tests.workspace.job_process import job_process

pytestmark = [pytest.mark.fuse, pytest.mark.slow, pytest.mark.timeout(600)]

JOB = "job"
ADDRESS = f"azureml://datastores/workspaceblobstore/paths/{JOB}/train/model"
WORLD = 2
TEACHER, MODEL = "DeepSeek-V3.2", "support-student"
HOST, KEY = "teacher.example", "the teacher's key"
# Outputs whose bytes must be those of a run on a local disk. A manifest names the paths of inputs and the time.
COMPARED = ("prepare/prompts", "curate/curated", "train/model", "predict_student/predictions")
DIFFERENT = {MANIFEST_FILE, "profile.json"}


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The small job, whose teacher is behind a connection of the workspace."""
    path = small_job(tmp_path_factory.mktemp("job") / "job", rows={"training_data.jsonl": 120, "test_data.jsonl": 20})
    text = path.read_text().replace("teacher_route: simulated", "teacher_route: endpoint")
    path.write_text(text.replace("num_epochs: 1\n", "num_epochs: 1\n  checkpoints_per_epoch: 4\n"))
    return path


@pytest.fixture(scope="module")
def bundle(job, tmp_path_factory):
    return compile_job(load_job(job), tmp_path_factory.mktemp("bundle") / BUNDLE).parent


@pytest.fixture(scope="module")
def teacher(job):
    """The simulated teacher, and its URL."""
    simulation = Simulation.model_validate(yaml.safe_load(job.read_text())["simulation"][TEACHER])
    simulated = SimulatedTeacher(simulation, EXPERTS[simulation.expert], KEY)
    with serving(simulated) as url:
        yield simulated, url


@pytest.fixture(scope="module")
def process(workspace, teacher, tmp_path_factory):
    """A process of a job in the workspace, which reaches the teacher."""
    workspace.connections.by_name["deepseek-v3"] = {"target": f"https://{HOST}", "credentials": {"key": KEY}}
    with job_process(workspace, tmp_path_factory.mktemp("process"), {HOST: teacher[1].removeprefix("http://")}) as job:
        yield job


def variables(process, run):
    """Those of a job without MLflow."""
    return {name: value for name, value in process.environ(run=run).items() if name != "MLFLOW_RUN_ID"}


@dataclass
class MountedJob:
    """The job's folder on the storage. Each `run` has new mounts, as each node of a job has."""

    steps: BundleSteps
    rw_mount: object
    ro_mount: object

    def start(self, name, **options):
        inputs, outputs = self.ro_mount(JOB), self.rw_mount(JOB)
        return self.steps.start(name, inputs.path, outputs.path, **options), outputs

    def run(self, name, **options):
        finish([self.start(name, **options)[0]])


@pytest.fixture
def mounted(bundle, process, node, rw_mount, ro_mount, workspace, container):
    for path in bundle.rglob("*"):
        if path.is_file():
            name = f"{JOB}/{BUNDLE}/{path.relative_to(bundle)}"
            workspace.blobs.write(container, name, path.read_bytes())
    steps = BundleSteps(bundle, variables(process, JOB), node.command)
    yield MountedJob(steps, rw_mount, ro_mount)
    steps.close()


@pytest.fixture(scope="module")
def local(bundle, process, tmp_path_factory):
    """The folder of the job on a local disk, up to the student's predictions."""
    folder = tmp_path_factory.mktemp("local")
    shutil.copytree(bundle, folder / BUNDLE)
    environ = variables(process, JOB)
    del environ["AZUREML_RUN_ID"]  # which says that the store is on a mount
    steps = BundleSteps(bundle, environ)
    for name in ("prepare", "teacher", "curate", "train", "predict_student"):
        finish([steps.start(name, folder, folder)])
    return folder


def test_the_steps_write_the_same_bytes_through_mounts_as_on_a_local_disk(
    local, mounted, teacher, blobs, workspace, container, tracked
):
    mounted.run("prepare")
    requests = sum(teacher[0].bought.values())
    lose_the_teacher(mounted, lambda: segments(workspace.blobs, container))
    stored = blobs(f"{JOB}/store")
    durable = sum(stored[name].count(b'"answer":{') for name in segments(workspace.blobs, container))
    finish([rank for rank, _ in start_teacher(mounted)])
    mounted.run("curate")
    lose_a_training(mounted, lambda: started_checkpoints(workspace.blobs, container))
    mounted.run("train", AZUREML_RUN_ID=f"{JOB}-2")
    for name in ("predict_student", "predict_baseline", "evaluate"):
        mounted.run(name, ports={"inputs.enforce_gates": "False"} if name == "evaluate" else None)
    mounted.run("register", ports={"inputs.model_address": ADDRESS, "inputs.model_type": "mlflow_model"}, **tracked)

    stored = blobs(JOB)
    for output in COMPARED:
        assert files(stored, output) == local_files(local / output), output
    assert (
        stored["teacher/completions/completions.jsonl"]
        == (local / "teacher/completions/completions.jsonl").read_bytes()
    )
    assert 0 < durable <= requests
    on_mounts = sum(teacher[0].bought.values()) - requests
    # Each rank begins with a preflight, which is no row. The local run had one rank, those on mounts two twice.
    rows = requests - 1
    assert rows <= on_mounts <= 2 * rows - durable + 2 * WORLD, "no durable answer is requested again"
    metrics = json.loads(stored["train/metrics/metrics.json"])
    assert 0 < metrics["resumed_from_step"] < metrics["steps"]
    lineage = json.loads(stored["register/registration/lineage.json"])
    assert (lineage["registered_model"], lineage["version"]) == (MODEL, 1)
    registered = files(stored, lineage["source"].partition("/paths/azdistill/")[2].rstrip("/"))
    assert registered["model/model.safetensors"] == stored["train/model/model.safetensors"]
    assert "MLmodel" in registered
    # An incomplete checkpoint of the job before stays: that job could still be running.
    rest = {name: content for name, content in stored.items() if name.startswith("checkpoints/")}
    assert all("/job-1/" in name for name in rest)
    states = [json.loads(content)["state"] for name, content in rest.items() if name.endswith(f"/{MARKER}")]
    assert "complete" not in states
    assert not [name for name in stored if "/." in name and not name.startswith(("store/", "checkpoints/"))]


def start_teacher(mounted):
    return [mounted.start("teacher", RANK=str(rank), WORLD_SIZE=str(WORLD)) for rank in range(WORLD)]


def lose_the_teacher(mounted, stored_segments):
    """Kill both ranks and their mounts once one has stored answers."""
    ranks = start_teacher(mounted)
    end = time.monotonic() + LONGEST_S
    while not stored_segments():
        assert all(rank.poll() is None for rank, _ in ranks)
        assert time.monotonic() < end
        time.sleep(0.05)
    for rank, outputs in ranks:
        rank.kill()
        outputs.kill()
        rank.communicate()


def segments(storage, container):
    return [name for name in storage.names(container, f"{JOB}/store/") if name.endswith(".jsonl")]


def lose_a_training(mounted, checkpoints):
    """Kill a training and its mount while it writes its second checkpoint: the first is complete then."""
    training, outputs = mounted.start("train", AZUREML_RUN_ID=f"{JOB}-1")
    end = time.monotonic() + LONGEST_S
    while len(checkpoints()) < 2:
        assert training.poll() is None, training.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.1)
    training.kill()
    outputs.kill()
    training.communicate()


def started_checkpoints(storage, container):
    names = storage.names(container, f"{JOB}/checkpoints/")
    return [name for name in names if re.search(rf"/checkpoint-\d+/{re.escape(MARKER)}$", name)]


@pytest.fixture
def tracked(process, tmp_path):
    """Variables of a process with an MLflow run."""
    from mlflow.tracking import MlflowClient

    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=tracking)
    run = client.create_run(client.create_experiment("job", (tmp_path / "artifacts").as_uri())).info.run_id
    return {**process.environ(run=run), "MLFLOW_TRACKING_URI": tracking}


def files(stored, output):
    return {
        name.removeprefix(f"{output}/"): content
        for name, content in stored.items()
        if name.startswith(f"{output}/") and os.path.basename(name) not in DIFFERENT
    }


def local_files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.name not in DIFFERENT
    }
