"""Nodes with another MLflow than this process log to its database through a server, and never open it."""

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from azdistill.engine.local.mlflow_tracking import Tracking
from azdistill.engine.local.pythons import describe_python
from azdistill.engine.local.variables import TRACKING_URI, database_address
from tests.engine.local.conftest import Project

UV = Path(sys.executable).with_name("uv")
OWN = metadata.version("mlflow")

# As a client of any version creates an experiment; and as a web page and another user of the machine would.
CREATE = """
import json, os, urllib.error, urllib.request
url = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/experiments/create"
def create(name, **headers):
    content = json.dumps({"name": name}).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json", **headers})
    try:
        return json.load(urllib.request.urlopen(request))["experiment_id"]
    except urllib.error.HTTPError as error:
        return error.code
token = "Bearer " + os.environ["MLFLOW_TRACKING_TOKEN"]
print(create("by http", Authorization=token))
print(create("by a page", Authorization=token, Host="page.example"))
print(create("by another user"), create("by another user", Authorization="Bearer x"))
"""
LOG = """
import sys, mlflow
mlflow.set_experiment("both")
with mlflow.start_run(run_name=mlflow.__version__):
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("kept", "note.txt")
"""
SHOW = """python -c 'import os
print(os.environ.get("AZDISTILL_TRACKING_DATABASE", "none"), os.environ["MLFLOW_TRACKING_URI"])'"""


def environment(folder: Path, mlflow: str | None, package: str = "mlflow") -> Path:
    """A virtual environment without packages, but for the metadata of MLflow."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    if mlflow:
        (packages,) = folder.glob("lib/*/site-packages")
        information = packages / f"{package}-{mlflow}.dist-info"
        information.mkdir()
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {mlflow}\n")
    return folder


def pipeline(**commands: str) -> str:
    """Independent nodes, each with an environment of its own name."""
    nodes = {name: {"command": command, "environment": f"azureml:{name}:1"} for name, command in commands.items()}
    return json.dumps({"jobs": nodes})


def address(project: Project, node: str) -> str:
    """The last line of a node's log, without a port."""
    *_, last = (project.folder / node / "log.txt").read_text().splitlines()
    return last.rstrip("0123456789")


def test_only_a_node_with_our_mlflow_has_the_address_of_the_database(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    install = "mkdir $(echo $VIRTUAL_ENV/lib/*/site-packages)/mlflow"
    versions = {"same": OWN, "older": "1.2.3", "none": None}
    interpreters = {name: environment(project.root / name, version) for name, version in versions.items()}
    interpreters["skinny"] = environment(project.root / "skinny", OWN, "mlflow_skinny")
    nodes = dict.fromkeys(("plain", *interpreters), SHOW) | {"installs": f"{SHOW}; {install}; {SHOW}"}
    project.write("pipeline.yml", pipeline(**nodes, own=f"export MLFLOW_TRACKING_URI=file:own; {install}; {SHOW}"))
    project.run(interpreters=interpreters).check()
    database = f"sqlite:///{project.home}/mlflow.db"
    assert {name: address(project, name) for name in nodes} == {
        "plain": f"none {database}",
        "same": f"none {database}",
        "older": f"{database} http://127.0.0.1:",
        "skinny": f"{database} http://127.0.0.1:",
        "none": f"{database} http://127.0.0.1:",
        "installs": f"{database} http://127.0.0.1:",
    }
    assert (project.folder / "installs/log.txt").read_text().startswith(f"none {database}\n")
    assert address(project, "own") == "none file:own"
    assert not (project.home / "mlflow-server.log").exists()  # no server was started


def test_without_mlflow_in_this_process_nodes_log_to_files(tmp_path: Path) -> None:
    without = replace(describe_python(None), mlflow=None, mlflow_server=False)
    tracking = Tracking(tmp_path, without)
    replaced = tracking.variables({TRACKING_URI: database_address(tmp_path)}, without)
    assert replaced == {TRACKING_URI: f"file://{tmp_path}/mlruns", "MLFLOW_ALLOW_FILE_STORE": "true"}
    assert tracking.replacement is None


def test_an_address_of_the_user_is_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.invalid")
    project.write("pipeline.yml", pipeline(older=SHOW))
    project.run(interpreters={"older": environment(project.root / "older", "1.2.3")}).check()
    assert address(project, "older") == "none http://tracking.invalid"


@pytest.mark.slow  # the server imports MLflow and creates a database
def test_the_server_starts_with_the_first_request_and_ends_with_the_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project.write("src/create.py", CREATE)
    node = {"command": "python create.py", "code": "./src"}
    project.write("pipeline.yml", json.dumps({"jobs": {"older": node | {"environment": "azureml:older:1"}}}))
    project.run(interpreters={"older": environment(project.root / "older", "1.2.3")}).check()
    experiment, *refused = (project.folder / "older/log.txt").read_text().split()
    assert refused == ["403", "401", "401"]
    with sqlite3.connect(project.home / "mlflow.db") as database:
        ((location,),) = database.execute("select artifact_location from experiments where name = 'by http'")
    assert location == f"{project.home}/mlruns/{experiment}"
    assert not subprocess.run(["pgrep", "-f", f"mlflow_script.*{project.home}"], capture_output=True).stdout


@pytest.mark.pypi
@pytest.mark.timeout(600)
def test_older_and_newer_versions_log_next_to_ours(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is in an environment, and one is installed by the command of its node."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    older = project.root / "older"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, older], check=True)
    packages = ["mlflow-skinny==2.14.3", "setuptools<80"]
    subprocess.run([UV, "pip", "install", "--quiet", "--python", older / "bin/python", *packages], check=True)
    project.write("src/log.py", LOG)
    project.write(
        "pipeline.yml",
        """
jobs:
  ours: {command: python log.py, code: ./src}
  older: {command: python log.py, code: ./src, environment: "azureml:older:1"}
  newer: {command: "pip install --quiet mlflow-skinny==3.17.2 && python log.py", code: ./src}
""",
    )
    project.run(interpreters={"older": older}).check()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{project.home}/mlflow.db")
    experiment = client.get_experiment_by_name("both")
    assert experiment is not None
    runs = {run.data.tags["mlflow.runName"]: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {OWN, "2.14.3", "3.17.2"}
    assert {run.data.metrics["loss"] for run in runs.values()} == {0.5}
    assert {Path(run.info.artifact_uri, "note.txt").read_text() for run in runs.values()} == {"kept"}
