"""Pipelines whose commands plant links, and whose fields lead outside, change nothing but the run folder and the home.

The commands change files of the run folder only: everything else that changes was changed by the engine.
"""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from azdistill.contracts.errors import AzdistillError
from tests.engine.local.conftest import Project

# Replace a file or folder of the run by a link. The command runs in RUN/NODE/.code.
PLANT = "rm -rf {name}; ln -s {victim}{target} {name}"
# What a command replaces, relative to the folder of its node.
OWN_FILES = (
    "log.txt", "node.json", ".node.json", ".code", ".environment", "out", "file", "../.hashes.json",
    "../.hashes.partial", "../.lock", "../other", "../other/log.txt", "../other/.node.json",
)  # fmt: skip
PIPELINE = """
settings: {{continue_on_step_failure: true}}
jobs:
  plant:
    command: "cd ..; {plant}; {end} # {attempt}"
    outputs: {{out: {{type: uri_folder}}, file: {{type: uri_file}}}}
  other:
    command: "sleep 0.1; exit 1"
    outputs: {{out: {{type: uri_folder}}, file: {{type: uri_file}}}}
"""
SWEEP = """
jobs:
  plant:
    type: sweep
    trial: {{command: "cd ../../..; {plant}; exit 1", environment: "azureml:a:1", inputs: {{x: {{type: integer}}}}}}
    search_space: {{x: {{type: choice, values: [1, 2, 3]}}}}
    sampling_algorithm: grid
    objective: {{goal: maximize, primary_metric: score}}
    limits: {{max_total_trials: 3, max_concurrent_trials: 1}}
"""


@pytest.fixture
def sandbox(project: Project) -> Project:
    """A project next to a folder with what the engine would write or delete there."""
    for name in ("file", "node.json", "log.txt", ".code/file", "out/file", "1/trial.json", "other/node.json"):
        project.write(f"victim/{name}", "precious")
    project.write("rows.txt", "a\n")
    return project


def rest(project: Project) -> dict[str, str]:
    """All files outside of the run folder and the home, with their content or the target of a link."""
    files = {}
    for parent, folders, names in os.walk(project.root):
        folders[:] = [name for name in folders if Path(parent, name) not in (project.folder, project.home)]
        for path in (Path(parent, name) for name in (*folders, *names)):
            is_file = path.is_file() and not path.is_symlink()
            files[str(path)] = path.read_text() if is_file else str(path.readlink()) if path.is_symlink() else "folder"
    return files


def run_hostile(project: Project, pipeline: str, **options: object) -> None:
    """Run a pipeline, which may be refused. Any other exception than an error in words is a bug."""
    project.write("pipeline.yml", pipeline)
    before = rest(project)
    with suppress(AzdistillError):
        project.run(jobs=2, **options)
    assert rest(project) == before


@pytest.mark.parametrize("name", OWN_FILES)
def test_the_engine_does_not_follow_links_in_the_run_folder(sandbox: Project, name: str) -> None:
    target = "/file" if "json" in name or "lock" in name or "partial" in name or "txt" in name else ""
    plant = PLANT.format(name=name, victim=sandbox.root / "victim", target=target)
    for attempt, end in enumerate(("exit 1", "exit 1", "exit 0")):
        run_hostile(sandbox, PIPELINE.format(plant=plant, end=end, attempt=attempt // 2))


@pytest.mark.parametrize("name", ["node.json", "../.hashes.json", "../.lock", "log.txt"])
@pytest.mark.parametrize("target", ["/dev/zero", "fifo"])
def test_the_engine_reads_no_device_and_no_pipe(sandbox: Project, name: str, target: str) -> None:
    plant = f"mkfifo fifo; rm -rf {name}; ln -s {target} {name}"
    for attempt, end in enumerate(("exit 1", "exit 0", "exit 0")):
        run_hostile(sandbox, PIPELINE.format(plant=plant, end=end, attempt=attempt // 2))


@pytest.mark.slow
def test_a_sweep_does_not_follow_a_link_in_place_of_its_trials(sandbox: Project) -> None:
    plant = PLANT.format(name="trials", victim=sandbox.root / "victim", target="")
    run_hostile(sandbox, SWEEP.format(plant=plant))
    run_hostile(sandbox, SWEEP.format(plant=plant))


ADDRESS = "azureml://datastores/w/paths"
FIELDS = [
    "outputs: {out: {type: uri_folder, path: '@'}}",
    "outputs: {out: {type: uri_file, path: '@'}}",
    "inputs: {x: {type: uri_folder, path: '@'}}",
]
PATHS = [
    *(
        f"{ADDRESS}/{path}"
        for path in ("../victim", "${{name}}/../../victim", "/victim", "a//b", "a/../../../victim", "..")
    ),
    "azureml://datastores/../paths/victim",
    "azureml://datastores/w/../../victim",
    "azureml://subscriptions/../../x/datastores/w/paths/../victim",
    "../victim",
    "/victim",
]
NAMES = ["../victim", "..", ".", "/victim", "a/b", "log.txt", "node.json", ".code", "x" * 300, "a\0b", "\u202e", ""]


def test_fields_that_lead_outside_change_nothing(sandbox: Project) -> None:
    copies = {f"{ADDRESS}": sandbox.root / "victim", "azureml:iris": sandbox.root / "victim"}
    for path in PATHS:
        for field in FIELDS:
            text = f"jobs: {{a: {{command: 'true', {field.replace('@', path)}}}}}"
            run_hostile(sandbox, text, data=copies)
    for name in map(repr, NAMES):
        name = name.replace("'", '"')
        for text in (
            f"jobs: {{{name}: {{command: 'true'}}}}",
            f"jobs: {{a: {{command: 'true', outputs: {{{name}: {{type: uri_folder}}}}}}}}",
            f"jobs: {{a: {{command: 'true', outputs: {{{name}: {{type: uri_file}}}}}}}}",
            f"{{name: {name}, type: command, command: 'true'}}",
        ):
            run_hostile(sandbox, text)
