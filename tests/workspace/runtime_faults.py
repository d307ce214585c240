"""Faults that occur while a job of the first day runs on Azure ML, or after it has ended.

`RUNTIME_FAULTS` is the table. Each fault is planted in a simulated workspace, or in the process of a step; the function
says whether it is survived, or reported as what it is. tests/azure/test_runtime_faults.py runs them, and the benchmark
counts them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.workspace.job_process import job_process
from tests.workspace.routes import DATA_PLANE

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace

JOB = "small-0123456789ab-1"
REFUSED = {"decision": "refused", "enforced": True, "register": False, "gates": []}
PASSED = {**REFUSED, "decision": "passed", "register": True}

# Where the train step has written its model.
ADDRESS = "azureml://datastores/workspaceblobstore/paths/azureml/train-1/model/"

IsHandled = Callable[["SimulatedWorkspace", "MLClient", Path], bool]


@dataclass(frozen=True)
class RuntimeFault:
    """`is_handled` plants the fault and returns whether it is survived or reported. Files are in the given folder.

    A fault is `slow` if a process of a step runs.
    """

    name: str
    is_handled: IsHandled
    slow: bool = False


def _put_job(workspace: "SimulatedWorkspace") -> None:
    """Add a pipeline job with two nodes."""
    node = {"type": "command", "componentId": f"{workspace.arm_id}/components/say/versions/1"}
    workspace.jobs.put(
        JOB,
        {
            "jobType": "Pipeline",
            "experimentName": "small",
            "settings": {"continue_on_step_failure": True},
            "outputs": {"evaluation": {"jobOutputType": "uri_folder"}},
            "jobs": {name: {**node, "name": name} for name in ("report", "register")},
        },
    )


def _is_outcome(
    reported: str,
    failed: Sequence[str],
    gate: dict[str, Any],
    code: str,
    workspace: "SimulatedWorkspace",
    client: "MLClient",
    _: Path,
    status: int = 0,
) -> bool:
    """True if a job that Azure ML reports with a status is reported with the code. `status` answers the download."""
    from azdistill.azure.jobs import raise_for_failure
    from azdistill.azure.jobs import status as status_of
    from azdistill.contracts.errors import AzdistillError

    _put_job(workspace)
    workspace.runs.output(JOB, "evaluation", {"gate.json": json.dumps(gate)})
    workspace.jobs[JOB].end(reported, failed)
    workspace.jobs[JOB].next_status()
    if status:
        workspace.faults.inject("POST", "batchGetResolvedUris", status, times=50)
    try:
        raise_for_failure(client, status_of(client, JOB))
    except AzdistillError as error:
        return error.problems[0].code == code
    return False


def _registers(
    model_refused: bool, mlflow_away: bool, workspace: "SimulatedWorkspace", client: "MLClient", folder: Path
) -> bool:
    """True if the step registers the model by its address, or, without the right to do so, prints the command."""
    from tests.azure.canary import input_folders

    if model_refused:
        workspace.faults.inject("PUT", "/models/", 403, times=50)
    folder.mkdir(exist_ok=True)
    values = {
        **input_folders(folder),
        "model-address": ADDRESS,
        "registration": folder / "registration",
        "mlflow-models": folder / "mlflow-models",
    }
    hosts = {DATA_PLANE: ""} if mlflow_away else {}
    done = _step("register", values, workspace, folder, hosts)
    if model_refused:
        command = f"az ml model create --type custom_model --name student --version 1 --path {ADDRESS}"
        return done.returncode == 1 and command in done.stderr
    uploads = [seen for seen in workspace.requests.all if "artifact" in seen.request.path]
    return done.returncode == 0 and client.models.get("student", "1").path == ADDRESS and not uploads


def _offers_to_upload(workspace: "SimulatedWorkspace", client: "MLClient", folder: Path) -> bool:
    """True if the step of a local run, which cannot upload its model, prints the command that does."""
    from tests.azure.canary import input_folders

    inputs = input_folders(folder)
    values = {**inputs, "model-address": inputs["model"]}
    values |= {name: folder / name for name in ("registration", "mlflow-models")}
    done = _step("register", values, workspace, folder, {DATA_PLANE: ""})
    place = (
        f"--resource-group {workspace.group} --workspace-name {workspace.name} --subscription {workspace.subscription}"
    )
    command = f"az ml model create --type custom_model --name student --version 1 --path {inputs['model']} {place}"
    return done.returncode == 1 and command in done.stderr


def _trains(
    token_s: int,
    hosts: dict[str, str],
    rejected: int,
    workspace: "SimulatedWorkspace",
    client: "MLClient",
    folder: Path,
) -> bool:
    """True if a training completes while MLflow fails, warns once, and sends rejected metrics later."""
    from azdistill.contracts.files import read_json, write_rows
    from azdistill.contracts.manifest import close_folder
    from tests.students import tiny
    from tests.training.conftest import rows

    workspace.faults.inject("POST", "/runs/log-batch", 503, times=rejected)
    write_rows(folder / "curated/train.jsonl", rows(40))
    write_rows(folder / "curated/validation.jsonl", rows(12, first=40))
    close_folder(folder / "curated", "curate", {})
    ports = {name: folder / name for name in ("curated", "model", "metrics", "checkpoints")}
    flags = {"learning-rate": 3e-3, "batch-size": 8, "num-epochs": 1, "max-length": 128}
    values = {**ports, "student": tiny.write(folder / "student", "smollm"), **flags}
    done = _step("train", values, workspace, folder, hosts, token_s)
    if done.returncode != 0 or "Traceback" in done.stderr or done.stdout.count("logging failed") != 1:
        return False
    steps = read_json(folder / "metrics/metrics.json")["steps"]
    logged = {(metric["key"], metric["step"]) for metric in workspace.tracking.metrics.get("run-1", [])}
    return not rejected or {("validation_loss", steps), ("train_loss", steps)} <= logged


def _step(
    name: str,
    values: dict[str, Any],
    workspace: "SimulatedWorkspace",
    folder: Path,
    hosts: dict[str, str],
    token_s: int = 3600,
) -> "subprocess.CompletedProcess[str]":
    """Run a step in the environment of a job, with Azure ML's plugin of MLflow."""
    arguments = [text for option, value in values.items() for text in (f"--{option}", str(value))]
    with job_process(workspace, folder / "proxy", hosts) as job:
        azure = {**job.environ(), **job.tracking(token_s), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        return subprocess.run(
            [sys.executable, "-m", f"azdistill.steps.{name}", *arguments],
            env={**os.environ, **azure, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def _names_the_image_build(workspace: "SimulatedWorkspace", client: "MLClient", _: Path) -> bool:
    """True if the error that Azure ML recorded for a node whose image was not built is part of the message."""
    from azdistill.azure.jobs import raise_for_failure
    from azdistill.azure.jobs import status as status_of
    from azdistill.contracts.errors import NodeFailed

    reason = "Image build failed: no matching distribution for torch==9"
    _put_job(workspace)
    workspace.jobs[JOB].end("Failed", ["report"])
    workspace.jobs[JOB].script, workspace.jobs[JOB].child("report").error = ["Failed"], reason
    try:
        raise_for_failure(client, status_of(client, JOB))
    except NodeFailed as error:
        return f"report: {reason}" in error.problems[0].message
    return False


RUNTIME_FAULTS = [
    RuntimeFault(
        "the pipeline is Completed although the gate refused the student",
        partial(_is_outcome, "Completed", ["register"], REFUSED, "gate_refused"),
    ),
    RuntimeFault(
        "the pipeline is Failed because the gate refused the student",
        partial(_is_outcome, "Failed", ["register"], REFUSED, "gate_refused"),
    ),
    RuntimeFault(
        "the pipeline is Completed although the registration failed",
        partial(_is_outcome, "Completed", ["register"], PASSED, "job_failed"),
    ),
    RuntimeFault(
        "gate.json may not be downloaded",
        partial(_is_outcome, "Completed", [], PASSED, "gate_unknown", status=403),
    ),
    RuntimeFault("the image of an environment cannot be built", _names_the_image_build),
    RuntimeFault("the job may not write models", partial(_registers, True, False), slow=True),
    RuntimeFault("MLflow has 300 seconds for the files of a model", partial(_registers, False, False), slow=True),
    RuntimeFault("MLflow is away when the student is registered", partial(_registers, False, True), slow=True),
    RuntimeFault("MLflow is away when a model on this machine is registered", _offers_to_upload, slow=True),
    RuntimeFault("the token of a training has expired", partial(_trains, -10, {}, 0), slow=True),
    RuntimeFault("MLflow cannot be reached by a training", partial(_trains, 3600, {DATA_PLANE: ""}, 0), slow=True),
    RuntimeFault("MLflow rejects metrics for some time", partial(_trains, 3600, {}, 1), slow=True),
]
