"""Verbs of `azdistill` that use a workspace: the real client with the simulated workspace."""

import json
import re
import sys

import pytest

from azdistill.azure.workspace import RegistryAddress, connect
from azdistill.cli.main import main
from tests.cli.conftest import Command, Done, folder
from tests.workspace.simulated_job import IMAGE_BUILD_LOG

__all__ = ["folder"]

GATE = {"decision": "refused", "enforced": True, "register": False, "gates": []}
CONFIG = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


@pytest.fixture
def azdistill(folder, monkeypatch, capfd, client) -> Command:
    (folder / "config.json").write_text(json.dumps(CONFIG))
    opened = []

    def opener(address):
        if isinstance(address, RegistryAddress):
            return connect(address, client._credential, client._kwargs["transport"])
        opened.append(address)
        return client

    def call(*arguments) -> Done:
        monkeypatch.setattr(sys, "argv", ["azdistill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main(opener)
        assert {str(address) for address in opened} <= {"workspace 'w' in resource group 'g' of subscription 's'"}
        return Done(ended.value.code if isinstance(ended.value.code, int) else 0, *capfd.readouterr())

    return call


@pytest.fixture
def ready(client):
    from azure.ai.ml.entities import ServerlessConnection

    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="k"))


def test_a_job_from_submission_to_download(azdistill, small, workspace, folder):
    workspace.jobs.script = ["NotStarted"]
    sent = azdistill("submit", small, "--rows", "20")
    assert sent.code == 0, sent.err
    name = re.search(r"job (\S+): submitted; status NotStarted", sent.out)[1]
    assert f"follow it:  azdistill stream {name}" in sent.out
    assert "already in the workspace, nothing sent; status NotStarted" in azdistill("submit", small, "--rows", "20").out
    workspace.jobs[name].script = ["Running"]
    workspace.jobs[name].child("register").script = ["Running"]
    assert re.search(r"small: Running\n.*https://.*register +Running", azdistill("status", name).out, re.DOTALL)
    assert re.search(rf"{name} +Running", azdistill("status").out)
    workspace.jobs[name].end("Completed")
    workspace.runs.output(name, "evaluation", {"gate.json": json.dumps({**GATE, "register": True})})
    assert f"job {name}: Completed" in azdistill("stream", name).out
    workspace.runs.output(name, "report", {"report.md": "# good"})
    assert azdistill("outputs", name).out.splitlines() == [
        f"evaluation  azureml://datastores/workspaceblobstore/paths/azureml/{name}/evaluation/",
        f"report  azureml://datastores/workspaceblobstore/paths/azureml/{name}/report/",
    ]
    assert f"downloaded to downloads/{name}" in azdistill("download", name, "--output", "report").out
    assert [path.read_text() for path in folder.glob(f"downloads/{name}/**/report.md")] == ["# good"]
    assert azdistill("cancel", name).out == f"job {name}: Completed\n"


def test_a_bundle_is_published_and_submitted_from_the_registry(azdistill, small, workspace):
    workspace.registries.create("house")
    early = azdistill("submit", small, "--registry", "house")
    assert early.code == 2
    assert re.search(rf"registry 'house': it does not have .*: azdistill publish {small} --reg", early.err)
    assert workspace.requests.of("PUT", "/jobs/") == []
    published = azdistill("publish", small, "--registry", "house")
    assert [line.split("  ")[0].strip() for line in published.out.splitlines()] == ["new", "new"]
    assert published.err == ""  # what the SDK prints is suppressed
    again = azdistill("publish", small, "--registry", "house")
    assert again.out.count("unchanged  azureml://registries/house/") == 2
    sent = azdistill("submit", small, "--registry", "house")
    assert (sent.code, "registry 'house': it has all components and environments" in sent.out) == (0, True)


@pytest.mark.parametrize("reported", ["Completed", "Failed"])
def test_each_verb_exits_with_the_outcome_of_the_gate(azdistill, small, workspace, reported):
    workspace.jobs.script = ["Running"]
    name = re.search(r"job (\S+): submitted", azdistill("submit", small).out)[1]
    workspace.runs.output(name, "evaluation", {"gate.json": json.dumps(GATE)})
    workspace.jobs[name].end(reported, ["register"])
    for arguments in (("stream", name), ("status", name)):
        done = azdistill(*arguments)
        assert (done.code, "'refused', so the student is not registered" in done.err) == (3, True)
    assert re.search(rf"small: {reported}\n.*\nregister  Failed\n", done.out)
    workspace.faults.inject("POST", "batchGetResolvedUris", 403, times=50)
    unknown = azdistill("status", name)
    assert (unknown.code, "gate.json cannot be read" in unknown.err) == (4, True)


def test_submit_follows_a_job_to_the_outcome_of_its_gate(azdistill, small, workspace):
    workspace.jobs.script = ["Running"]
    name = re.search(r"job (\S+): submitted", azdistill("submit", small).out)[1]
    workspace.runs.output(name, "evaluation", {"gate.json": json.dumps(GATE)})
    workspace.jobs[name].end("Completed")
    followed = azdistill("submit", small, "--follow")
    assert (followed.code, f"job {name}: already in the workspace" in followed.out) == (3, True)


def test_all_problems_are_shown_and_nothing_is_submitted(azdistill, bundle, workspace):
    workspace.computes.quota["standardNCADSA100v4Family"] = (0, 12)
    done = azdistill("submit", bundle())
    assert (done.code, len(done.err.strip().splitlines())) == (2, 2)
    assert "az ml connection create --name deepseek " in done.err
    assert workspace.requests.of("PUT", "/jobs/") == []


def test_check_submits_nothing(azdistill, bundle, workspace, ready):
    done = azdistill("submit", bundle(), "--check")
    assert (done.code, "connection 'deepseek': " in done.out) == (0, True)
    assert workspace.requests.of("PUT", "/jobs/") == []


def test_a_retired_teacher_is_a_warning(azdistill, bundle, ready):
    retired = {"teachers": [{"model": "DeepSeek-R1", "connection": "deepseek"}]}
    done = azdistill("submit", bundle(teacher=retired), "--check")
    assert (done.code, "warning: teacher 'DeepSeek-R1': Azure has retired it" in done.out) == (0, True)


def test_without_a_config_the_error_says_where_to_get_one(azdistill, folder):
    (folder / "config.json").unlink()
    done = azdistill("status")
    assert (done.code, "download it from the studio" in done.err) == (2, True)


def test_an_unknown_registry_is_one_line(azdistill, small):
    done = azdistill("publish", small, "--registry", "nowhere")
    assert (done.code, done.out) == (2, "")
    assert "check its name in the list of registries: az ml registry list" in done.err


def test_a_node_whose_image_cannot_be_built(azdistill, small, workspace, folder):
    """Its log is one of the node's own job. The node has written nothing else."""
    workspace.jobs.script = ["Running"]
    name = re.search(r"job (\S+): submitted", azdistill("submit", small).out)[1]
    node = workspace.jobs[name].child("register")
    node.script = ["Preparing"]
    assert "register  Preparing  its image is being built or pulled" in azdistill("status", name).out
    workspace.jobs[name].fail_to_build_image("register")
    workspace.runs.log(node.name, IMAGE_BUILD_LOG, "ERROR: No matching distribution found for torch==2.99\n")
    log = f"the log is {IMAGE_BUILD_LOG} in the files of `azdistill download {node.name}`"
    for verb in ("stream", "status"):
        done = azdistill(verb, name)
        assert (done.code, len(done.err.splitlines())) == (1, 1)
        assert f"Failed in register: register: its image could not be built; {log}; see https://" in done.err
    assert azdistill("download", node.name).code == 0
    (downloaded,) = folder.glob(f"downloads/{node.name}/**/{IMAGE_BUILD_LOG}")
    assert "No matching distribution" in downloaded.read_text()
    assert azdistill("outputs", node.name).code == 0
